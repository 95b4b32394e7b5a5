// The tables below [registry]: [registry.retention.NAME] and [registry.mirrors.NAME]. Private to
// the configuration's reading and printing. Threads: start-up only.
#pragma once

#include <toml++/toml.h>

#include <string>
#include <string_view>

#include "cli/config.h"

namespace nimbus::cli {

// bad_request names the key and what is right; `where` is the file's name.
Result<void> read_registry_tables(Config& config, std::string_view name, const toml::table& tables,
                                  std::string_view file);
std::string registry_tables_toml(const Config& config);

}  // namespace nimbus::cli
