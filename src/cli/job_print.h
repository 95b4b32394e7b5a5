// How jobs and their lines are shown. Threads: one.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>

#include "cli/job_follow.h"
#include "cli/table.h"

namespace nimbus::cli {

std::string jobs_table(const boost::json::array& jobs, Time now, bool colour);
// One job in full: its fields, then its transitions.
std::string job_details(const boost::json::object& job, Time now, bool colour);

enum class LineTarget { streams, out };
// Writes log lines: each to the stream it came from (`streams`), or all to standard output (`out`).
// False once standard output is closed.
class LinePrinter {
 public:
  LinePrinter(LineTarget target, bool json, bool timestamps);
  bool print(const LogLine& line);

 private:
  LineTarget target_;
  bool json_;
  bool timestamps_;
  bool colour_;
};

// A positional job id. bad_request: no positive whole number.
Result<int64_t> parse_job_id(std::string_view text);

// "2026-11-24T22:45:00Z", or how long ago ("15m", "2h", "3d") as such a time.
Result<std::string> parse_when(std::string_view text, Time now);
// "90", "90s", "15m", "2h", "3d" in seconds.
Result<int64_t> parse_seconds(std::string_view text);

}  // namespace nimbus::cli
