// One line of a job's output. (job, fence, seq) identifies it; `seq` counts from 1 without gaps
// over all streams of an execution, so a log can prove that nothing is missing. Values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace nimbus::model {

constexpr size_t kLogLineBytesMax = size_t{64} * 1024;  // longer lines are split by the guest

enum class LogStream { out, err, system };  // system: Nimbus's own words about the job

struct LogLine {
  int64_t ts_ns = 0;  // when the guest read it, nanoseconds since the epoch
  int64_t seq = 0;
  LogStream stream = LogStream::out;
  std::string text;      // UTF-8, without the line end
  bool partial = false;  // the next line of the same stream continues it
};

constexpr std::string_view to_string(LogStream stream) {
  return stream == LogStream::out ? "stdout" : stream == LogStream::err ? "stderr" : "system";
}

}  // namespace nimbus::model
