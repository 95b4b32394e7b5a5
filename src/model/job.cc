#include "model/job.h"

#include <array>

namespace nimbus::model {
namespace {

constexpr std::array<std::string_view, 8> kStates = {
    "queued", "leased", "running", "succeeded", "failed", "cancelled", "timed_out", "lost"};
constexpr std::array<std::string_view, 4> kResults = {"succeeded", "failed", "timed_out",
                                                      "cancelled"};

template <typename Enum, size_t N>
std::optional<Enum> find(const std::array<std::string_view, N>& names, std::string_view name) {
  for (size_t i = 0; i < N; ++i) {
    if (names[i] == name) return static_cast<Enum>(i);
  }
  return std::nullopt;
}

}  // namespace

std::string_view to_string(JobState state) { return kStates[static_cast<size_t>(state)]; }
std::optional<JobState> find_job_state(std::string_view name) {
  return find<JobState>(kStates, name);
}

bool is_final(JobState state) { return state >= JobState::succeeded; }

bool can_move(JobState from, JobState to) {
  switch (from) {
    case JobState::queued: return to == JobState::leased || is_final(to);
    case JobState::leased: return to == JobState::running || to == JobState::queued || is_final(to);
    case JobState::running: return to == JobState::queued || is_final(to);
    default: return false;
  }
}

std::string_view to_string(JobResult result) { return kResults[static_cast<size_t>(result)]; }
std::optional<JobResult> find_job_result(std::string_view name) {
  return find<JobResult>(kResults, name);
}

JobState final_state(JobResult result) {
  switch (result) {
    case JobResult::succeeded: return JobState::succeeded;
    case JobResult::failed: return JobState::failed;
    case JobResult::timed_out: return JobState::timed_out;
    case JobResult::cancelled: return JobState::cancelled;
  }
  return JobState::failed;
}

Result<void> check_result(JobResult result, std::optional<int64_t> exit_code) {
  if (!exit_code) return {};
  const bool agrees = (result != JobResult::succeeded || *exit_code == 0) &&
                      (result != JobResult::failed || *exit_code != 0);
  if (agrees) return {};
  return fail(Code::bad_request,
              "field 'exit_code' is " + std::to_string(*exit_code) +
                  ", which contradicts result '" + std::string(to_string(result)) + "'",
              "succeeded goes with exit code 0 or none, failed with any but 0 or none");
}

}  // namespace nimbus::model
