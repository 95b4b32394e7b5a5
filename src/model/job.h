// The job and its states: `queued → leased → running → succeeded | failed | cancelled | timed_out |
// lost`. The same words stand in the database, the API, metrics and the dashboard. Values, no I/O.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "model/ids.h"

namespace nimbus::model {

enum class JobState { queued, leased, running, succeeded, failed, cancelled, timed_out, lost };

std::string_view to_string(JobState state);
std::optional<JobState> find_job_state(std::string_view name);
bool is_final(JobState state);
// Whether the state machine has this edge. `leased → queued` and `running → queued` are requeues.
bool can_move(JobState from, JobState to);

struct Resources {
  int cpus = 2;
  int memory_mb = 2048;
  int disk_mb = 10240;
};

// Where a job of GitHub's comes from. A native job has none.
struct GithubJob {
  int64_t job_id = 0;
  int64_t run_id = 0;
  int64_t run_attempt = 1;
  std::optional<int64_t> installation_id;
};

// What an agent needs in order to run a job; part of an assignment.
struct JobSpec {
  std::string org;
  std::string repo;   // without the owner
  std::string ref;    // may be empty
  std::string sha;    // may be empty
  std::string image;  // "nimbus/base", a name in the agent's image store, or a digest
  std::vector<std::string> command;
  std::map<std::string, std::string> env;
  Resources resources;
  int timeout_s = 3600;
};

struct Transition {
  JobState to = JobState::queued;
  Fence fence;
  Time at;
  std::string reason;
};

// How an execution ended, as its agent reports it.
enum class JobResult { succeeded, failed, timed_out, cancelled };
std::string_view to_string(JobResult result);
std::optional<JobResult> find_job_result(std::string_view name);
JobState final_state(JobResult result);
// bad_request: no execution ends with both, "succeeded" with exit code 3 for instance. A job that
// was ended (timed out, cancelled) may have exited with anything.
Result<void> check_result(JobResult result, std::optional<int64_t> exit_code);

}  // namespace nimbus::model
