// Takes a job's lines: refuses an old fence, leaves out what is here already, shows the rest to
// followers at once, and answers when all of it is durable.
//
// Promises: (job, fence, seq) is stored once, however often and in whatever pieces it is sent; an
// acknowledged line survives any crash.
//
// Threads: the loop's.
#pragma once

#include <vector>

#include "telemetry/log_book.h"
#include "telemetry/log_history.h"
#include "telemetry/writer.h"

namespace nimbus::telemetry {

class LogIngest {
 public:
  LogIngest(LogBook& book, LogHistory& history, Writer& writer)
      : book_(book), history_(history), writer_(writer) {}

  // The last seq of the batch, once it and all before it in the batch are durable. conflict: a
  // later execution of the job has written already. unavailable: send it again. bad_request: too
  // many gaps.
  Task<Result<int64_t>> take(LogOwner owner, std::vector<model::LogLine> lines);

 private:
  Task<void> load(LiveJob& job);
  Task<Result<void>> store(LiveJob& job, LogOwner owner, std::vector<model::LogLine> lines);
  Task<Result<void>> wait_durable(LiveJob& job, model::Fence fence, std::vector<int64_t> seqs);

  LogBook& book_;
  LogHistory& history_;
  Writer& writer_;
};

}  // namespace nimbus::telemetry
