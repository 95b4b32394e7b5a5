// The body of POST /api/v1/jobs, checked field by field. Threads: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "control/job.h"
#include "control/labels.h"

namespace nimbus::control {

constexpr size_t kCommandWordsMax = 256;
constexpr size_t kCommandBytesMax = size_t{128} << 10;
constexpr size_t kEnvMax = 256;
constexpr size_t kEnvBytesMax = size_t{64} << 10;
// What Nimbus tells a job about itself; nobody else may say it.
constexpr std::string_view kReservedEnvPrefix = "NIMBUS_";
constexpr int kTimeoutSecondsMax = 5 * 24 * 3600;
constexpr int kRetriesMax = 10;

// Letters, digits and '_', not starting with a digit.
bool is_env_name(std::string_view name);

struct JobDefaults {
  std::string image = "nimbus/base";
  model::Resources resources;
  int timeout_s = 3600;
  int64_t tries_max = 3;
};

// The profile `nimbus` as the defaults of native jobs, where there is one.
JobDefaults job_defaults(const std::vector<Profile>& profiles, int64_t tries_max);

// bad_request names the field and what is right.
Result<Job> parse_job_request(std::string_view body, const JobDefaults& defaults, Time now);

// What the job can be found by, from its labels and metadata as stored.
std::vector<std::string> terms_of(const JobText& text);

}  // namespace nimbus::control
