// Follows one job to its end: its log as it is written, over connections that may break, then its
// result. Used by `run`, `job logs -f` and `job rerun --follow`.
//
// Threads: the loop's.
#pragma once

#include <functional>
#include <string>

#include "base/task.h"
#include "cli/api_client.h"

namespace nimbus::cli {

constexpr int kExitTimedOut = 124;   // as timeout(1)
constexpr int kExitCancelled = 130;  // as a shell after Ctrl-C
constexpr int kExitSignalled = 128;  // and the signal's number, as a shell

struct LogLine {
  std::string ts;
  int64_t seq = 0;
  int64_t fence = 0;
  std::string stream;
  std::string text;
  bool partial = false;  // its line goes on in the next one
  std::string json;      // as the server sent it
};
Result<LogLine> parse_log_line(std::string_view json);

struct JobEnd {
  std::string state;
  std::string reason;
  std::optional<int64_t> exit_code;
  int64_t fence = 0;    // of its latest execution
  int64_t missing = 0;  // lines that the server knows to be lost
};
// The job's own exit status as a shell tells it: its exit code, 128 and the number of the signal
// that ended it (137 when it had no memory left), 124 when it timed out, 130 when it was cancelled,
// else 1.
int exit_status(const JobEnd& end);

struct Follow {
  int64_t job = 0;
  int64_t after = 0;
  std::function<bool(const LogLine&)> on_line;   // false: nobody reads any more
  std::function<void(const std::string&)> talk;  // what a person may want to know meanwhile
};
// Ends when the job has ended and all its lines were given. unavailable: the server stayed away for
// too long; other errors: it refuses.
Task<Result<JobEnd>> follow_job(ApiClient& api, Follow follow);

}  // namespace nimbus::cli
