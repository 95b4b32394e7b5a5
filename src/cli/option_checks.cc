#include "cli/option_checks.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

#include "base/text.h"
#include "cli/listen_address.h"
#include "control/job_request.h"
#include "model/image_reference.h"
#include "model/job.h"

namespace nimbus::cli {
namespace {

constexpr std::array<std::string_view, 4> kTokenRoles = {"viewer", "operator", "admin", "ingest"};
constexpr std::array<std::string_view, 4> kLevels = {"debug", "info", "warn", "error"};
constexpr std::array<std::string_view, 2> kPolicies = {"default", "open"};
constexpr std::array<std::string_view, 3> kMonitors = {"auto", "qemu", "firecracker"};
constexpr std::array<std::string_view, 2> kEntryKinds = {"actions", "plain"};
constexpr std::array<std::string_view, 5> kServerRoles = {"control", "cache", "registry",
                                                          "telemetry", "agent"};
constexpr std::array<std::string_view, 3> kShells = {"bash", "zsh", "fish"};
constexpr int64_t kPageMax = 1000;

}  // namespace

std::span<const std::string_view> token_roles() { return kTokenRoles; }
std::span<const std::string_view> log_levels() { return kLevels; }
std::span<const std::string_view> egress_policies() { return kPolicies; }
std::span<const std::string_view> monitor_names() { return kMonitors; }
std::span<const std::string_view> entry_kinds() { return kEntryKinds; }
std::span<const std::string_view> server_roles() { return kServerRoles; }
std::span<const std::string_view> shells() { return kShells; }

std::span<const std::string_view> job_state_names() {
  static const auto names = [] {
    std::vector<std::string_view> all;
    for (auto state = model::JobState::queued; state <= model::JobState::lost;
         state = static_cast<model::JobState>(static_cast<int>(state) + 1)) {
      all.push_back(model::to_string(state));
    }
    return all;
  }();
  return names;
}

Result<void> check_integer(std::string_view value, int64_t min, int64_t max) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error == std::errc() && end == value.data() + value.size() && number >= min &&
      number <= max) {
    return {};
  }
  return fail(Code::bad_request, "is not a whole number from " + std::to_string(min) +
                                     (max == INT64_MAX ? "" : " to " + std::to_string(max)));
}

Result<void> check_word(std::string_view value, std::span<const std::string_view> words) {
  if (std::find(words.begin(), words.end(), value) != words.end()) return {};
  const std::vector<std::string> all(words.begin(), words.end());
  return fail(Code::bad_request, "is none of " + join(all, ", "));
}

Result<void> page_limit(std::string_view value) { return check_integer(value, 1, kPageMax); }
Result<void> job_number(std::string_view value) { return check_integer(value, 1, INT64_MAX); }

Result<void> job_states(std::string_view value) {
  for (const std::string_view state : split(value, ',')) TRY(check_word(state, job_state_names()));
  return {};
}

Result<void> listen_address(std::string_view value) {
  if (parse_listen_address(value)) return {};
  return fail(Code::bad_request, "is not ADDRESS:PORT; write it like 127.0.0.1:8080 or [::1]:8080");
}

Result<void> image_name(std::string_view value) {
  const auto parsed = model::parse_image_reference(value);
  if (parsed) return {};
  return fail(Code::bad_request, "is no image name: " + parsed.error().message,
              parsed.error().hint);
}

Result<void> key_and_value(std::string_view value) {
  if (value.find('=') != value.npos && value.front() != '=') return {};
  return fail(Code::bad_request, "is not KEY=VALUE");
}

Result<void> variable(std::string_view value) {
  const std::string_view name = value.substr(0, value.find('='));
  if (!control::is_env_name(name)) {
    return fail(Code::bad_request,
                "has no good name: write NAME=VALUE, with letters, digits and '_' in NAME");
  }
  if (name.starts_with(control::kReservedEnvPrefix)) {
    return fail(Code::bad_request, "has a name that begins with " +
                                       std::string(control::kReservedEnvPrefix) +
                                       ": those are Nimbus's own");
  }
  return {};
}

}  // namespace nimbus::cli
