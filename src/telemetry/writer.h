// The one write path: rows of all senders, gathered into blocks per table, made durable in
// ClickHouse or, while that is away, in the spool. Idle means at once; while an insert is under way
// the rows that arrive share the next block.
//
// Promises: `write` succeeds only when the rows are durable; a block is stored once, however often
// it is tried; what waits is bounded, and past the bound a sender hears unavailable instead of
// anything being dropped.
//
// Threads: the loop's.
// Not here: where rows come from (log_ingest.h, otlp_routes.h), who starts the engine
// (engine_process.h), which lines a reader may see (log_history.h).
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "net/loop.h"
#include "telemetry/clickhouse_client.h"
#include "telemetry/spool.h"
#include "telemetry/spool_index.h"

namespace nimbus::telemetry {

constexpr size_t kQueuedBytesMax = size_t{32} << 20;

class Writer {
 public:
  Writer(net::Loop& loop, ClickhouseClient& client, Spool spool, Metrics& metrics);
  ~Writer();

  // Reads what an earlier process left in the spool. Blocks: at start-up, before the first write.
  Result<void> load();

  // unavailable: too much waits already, or neither ClickHouse nor the spool can take it now; send
  // it again later. Its hint is kDiskFull when that is because of a full disk.
  Task<Result<void>> write(RowBatch batch);
  static constexpr std::string_view kDiskFull = "free some disk space";

  // ClickHouse is there, with its schema: blocks go to it, and the spool is replayed.
  void clickhouse_ready();
  bool ready() const { return ready_; }
  // Inserts that failed since the last one that did not.
  int failures_in_row() const { return failures_in_row_; }
  // Runs when a block could not be stored and `ready` has become false.
  void on_away(std::function<void()> call) { away_ = std::move(call); }
  // Ends when ClickHouse has everything that was spooled, or is away again.
  Task<void> replay();

  const SpoolIndex& index() const { return index_; }
  // The lines of a spooled block of job_logs, as RowBinary; empty when it has been replayed since.
  Task<Result<std::string>> read_spooled(SpoolPlace place);

  uint64_t spooled_bytes() const { return spooled_bytes_; }
  bool spool_empty() const { return spooled_bytes_ == 0; }
  // Waits until nothing is queued, at most that long.
  Task<void> drain(Duration deadline);

 private:
  struct Item;
  struct Queue;
  struct Counters {
    Counter& rows;
    Counter& spooled;
    Counter& dropped;
  };

  Task<void> pump(Queue& queue);
  Task<Result<void>> store(Block block, std::vector<LineRange> lines);
  Task<Result<void>> spool_block(Block block, std::vector<LineRange> lines);
  Task<bool> replay_segment(uint64_t segment);
  Task<bool> replay_block(const Block& block);
  Task<void> lock_spool();
  void unlock_spool();
  Task<InsertOutcome> insert(const Block& block, Duration patience);
  void set_away(const std::string& reason);
  void note_spoiled(uint64_t segment, uint64_t frames);
  std::string next_token();
  Counters& counters(Table table);

  net::Loop& loop_;
  ClickhouseClient& client_;
  Spool spool_;
  SpoolIndex index_;
  Metrics& metrics_;
  Histogram& store_seconds_;
  Gauge& spool_gauge_;
  Counter& spoiled_;
  std::map<Table, Queue> queues_;
  std::map<Table, Counters> counters_;
  net::Notifier spool_free_;
  net::Notifier drained_;
  std::function<void()> away_;
  std::string token_prefix_;
  uint64_t tokens_ = 0;
  size_t queued_bytes_ = 0;
  uint64_t spooled_bytes_ = 0;
  int failures_in_row_ = 0;
  bool ready_ = false;
  bool replaying_ = false;
  bool spool_locked_ = false;
};

}  // namespace nimbus::telemetry
