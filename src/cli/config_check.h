// What a start refuses of a configuration, judged without making, opening or contacting anything:
// `nimbus up` does it before it touches the data directory, `nimbus config check` does nothing
// else.
//
// Threads: start-up only (reads the files that the configuration names).
#pragma once

#include <set>

#include "base/result.h"
#include "cli/config.h"
#include "cli/server_process.h"

namespace nimbus::cli {

// Only what `roles` use: a host that runs an agent alone need not have the control plane's files.
// bad_request or the file's error, with the key that named it.
Result<void> check_start(const Config& config, const std::set<Role>& roles);

}  // namespace nimbus::cli
