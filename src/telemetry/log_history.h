// A job's stored lines, wherever they are: in ClickHouse, or still in the spool. Reads name org,
// repo, job and fence; there is no way to ask for less.
//
// Threads: the loop's.
// Not here: who may ask (log_routes.h), searching over jobs (log_search.h).
#pragma once

#include <map>
#include <vector>

#include "model/log_line.h"
#include "telemetry/clickhouse_client.h"
#include "telemetry/log_rows.h"
#include "telemetry/seq_set.h"
#include "telemetry/writer.h"

namespace nimbus::telemetry {

constexpr size_t kLogPageLines = 5'000;

class LogHistory {
 public:
  LogHistory(ClickhouseClient& client, Writer& writer) : client_(client), writer_(writer) {}

  // Lines with a seq above `after`, each once, by rising seq, at most `limit`; fewer do not mean
  // the end, none do. unavailable: ClickHouse is away, and the spool alone does not have the line
  // after `after`.
  Task<Result<std::vector<model::LogLine>>> read(LogOwner owner, int64_t after, size_t limit);

  // The seqs of every execution of the job. unavailable: ClickHouse is away.
  using Known = std::map<model::Fence, SeqSet>;
  Task<Result<Known>> known(LogOwner owner, int seconds_max = 10);

 private:
  Task<Result<std::vector<model::LogLine>>> from_spool(LogOwner owner, int64_t after);
  Task<Result<std::vector<model::LogLine>>> from_clickhouse(LogOwner owner, int64_t after,
                                                            int64_t last, size_t limit);
  Task<Result<void>> read_ranges(LogOwner owner, SeqSet& into, int seconds_max);

  ClickhouseClient& client_;
  Writer& writer_;
};

}  // namespace nimbus::telemetry
