// Values and names as TOML 1.0 writes them. Threads: pure functions.
#pragma once

#include <string>
#include <string_view>

namespace nimbus::cli {

// A basic string, quotes included: whatever bytes `text` has, it stays on one line.
std::string toml_string(std::string_view text);
// The name of a key or table: bare where TOML allows it, else as a string.
std::string toml_name(std::string_view name);

}  // namespace nimbus::cli
