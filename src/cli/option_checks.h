// What the values of options must be, for the table of commands: each refuses with the rest of the
// sentence "--limit 'x' …", which says what is right. A value that only the server can judge has no
// check here.
//
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace nimbus::cli {

Result<void> check_integer(std::string_view value, int64_t min, int64_t max);
Result<void> check_word(std::string_view value, std::span<const std::string_view> words);

template <int64_t kMin, int64_t kMax>
Result<void> integer_between(std::string_view value) {
  return check_integer(value, kMin, kMax);
}
Result<void> page_limit(std::string_view value);
Result<void> job_number(std::string_view value);
Result<void> job_states(std::string_view value);  // with commas between them
Result<void> listen_address(std::string_view value);
Result<void> image_name(std::string_view value);
Result<void> key_and_value(std::string_view value);
Result<void> variable(std::string_view value);  // NAME=VALUE, or NAME of this shell's

// What values may be (Option::choices).
std::span<const std::string_view> job_state_names();
std::span<const std::string_view> token_roles();
std::span<const std::string_view> log_levels();
std::span<const std::string_view> egress_policies();
std::span<const std::string_view> monitor_names();
std::span<const std::string_view> entry_kinds();  // of cache entries
std::span<const std::string_view> server_roles();
std::span<const std::string_view> shells();

}  // namespace nimbus::cli
