#include "telemetry/writer.h"

#include "base/encoding.h"
#include "base/log.h"
#include "base/random.h"

namespace nimbus::telemetry {
namespace {

// Longer, and the block goes to the spool, so that its senders need not wait for a stalled engine.
constexpr Duration kInsertPatience = std::chrono::seconds(5);
constexpr Duration kReplayPatience = std::chrono::seconds(60);

Duration steady_now() {
  return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch());
}

// Blocks that were never sent join into larger ones of the same table. The same segment always
// gives the same blocks and tokens, so a replay that was cut short can begin again.
std::vector<Block> merge_blocks(std::vector<Block> blocks) {
  std::vector<Block> merged;
  std::map<Table, size_t> open;  // index in `merged` of the table's block that still grows
  std::vector<std::string> last_tokens(blocks.size());
  for (Block& block : blocks) {
    const auto found = open.find(block.table);
    if (!block.attempted && found != open.end()) {
      Block& into = merged[found->second];
      if (into.data.size() + block.data.size() <= kBlockBytesMax &&
          into.rows + block.rows <= kBlockRowsMax) {
        into.data += block.data;
        into.rows += block.rows;
        last_tokens[found->second] = std::move(block.token);
        continue;
      }
    }
    if (!block.attempted) open[block.table] = merged.size();
    merged.push_back(std::move(block));
  }
  for (size_t i = 0; i < merged.size(); ++i) {
    if (!last_tokens[i].empty()) merged[i].token += "." + last_tokens[i];
  }
  return merged;
}

}  // namespace

struct Writer::Item {
  RowBatch batch;
  Duration since{};
  std::function<void(Result<void>)> done;
};

struct Writer::Queue {
  Table table{};
  std::deque<Item> items;
  bool running = false;
};

Writer::Writer(net::Loop& loop, ClickhouseClient& client, Spool spool, Metrics& metrics)
    : loop_(loop),
      client_(client),
      spool_(std::move(spool)),
      metrics_(metrics),
      store_seconds_(metrics.histogram("nimbus_log_store_seconds",
                                       "From the arrival of rows until they are durable.")),
      spool_gauge_(metrics.gauge("nimbus_log_spool_bytes", "Bytes in the telemetry spool.")),
      spoiled_(metrics.counter("nimbus_log_spool_spoiled_total",
                               "Frames of the spool that a crash cut short or the disk spoiled.")),
      spool_free_(loop),
      drained_(loop),
      token_prefix_(to_hex(system_random().bytes(8))),
      spooled_bytes_(spool_.bytes()) {
  // All series are there from the start, so that a scrape shows the zeros.
  for (uint8_t number = 1; number <= kTables; ++number) counters(*find_table(number));
  spool_gauge_.set(static_cast<double>(spooled_bytes_));
}

Writer::~Writer() = default;

Writer::Counters& Writer::counters(Table table) {
  const auto found = counters_.find(table);
  if (found != counters_.end()) return found->second;
  const Metrics::Labels labels = {{"table", std::string(to_string(table))}};
  return counters_
      .emplace(table, Counters{metrics_.counter("nimbus_log_rows_total", "Rows accepted.", labels),
                               metrics_.counter("nimbus_log_rows_spooled_total",
                                                "Rows that went to the spool first.", labels),
                               metrics_.counter("nimbus_log_rows_dropped_total",
                                                "Rows that ClickHouse refused for good.", labels)})
      .first->second;
}

std::string Writer::next_token() { return token_prefix_ + "-" + std::to_string(++tokens_); }

Result<void> Writer::load() {
  for (const uint64_t segment : spool_.sealed()) {
    const uint64_t spoiled = TRY(spool_.read(segment, [this](SpoolPlace place, Block block) {
      if (block.table == Table::job_logs) index_.add_block(place, block);
    }));
    note_spoiled(segment, spoiled);
  }
  return {};
}

// A frame cut short by a crash was never acknowledged; any other one is a loss.
void Writer::note_spoiled(uint64_t segment, uint64_t frames) {
  if (frames == 0) return;
  log_error("spool frames cannot be read", {{"segment", segment}, {"frames", frames}});
  spoiled_.add(static_cast<double>(frames));
}

Task<Result<void>> Writer::write(RowBatch batch) {
  if (batch.rows == 0) co_return Result<void>{};
  if (queued_bytes_ + batch.data.size() > kQueuedBytesMax) {
    co_return fail(Code::unavailable, "too much telemetry waits to be stored",
                   "send it again later");
  }
  queued_bytes_ += batch.data.size();
  Queue& queue = queues_[batch.table];
  queue.table = batch.table;
  std::function<void(std::function<void(Result<void>)>)> enqueue =
      [this, &queue, &batch](std::function<void(Result<void>)> done) {
        queue.items.push_back({std::move(batch), steady_now(), std::move(done)});
        if (queue.running) return;
        queue.running = true;
        loop_.spawn(pump(queue), "telemetry writer");
      };
  co_return co_await await_value<Result<void>>(std::move(enqueue));
}

Task<void> Writer::pump(Queue& queue) {
  while (!queue.items.empty()) {
    Block block;
    block.table = queue.table;
    block.token = next_token();
    std::vector<Item> items;
    std::vector<LineRange> lines;
    while (!queue.items.empty()) {
      Item& item = queue.items.front();
      const bool fits = block.data.size() + item.batch.data.size() <= kBlockBytesMax &&
                        block.rows + item.batch.rows <= kBlockRowsMax;
      if (!items.empty() && !fits) break;
      block.data += item.batch.data;
      block.rows += item.batch.rows;
      if (item.batch.lines) lines.push_back(*item.batch.lines);
      items.push_back(std::move(item));
      queue.items.pop_front();
    }
    const size_t bytes = block.data.size();
    const uint32_t rows = block.rows;
    const Result<void> stored = co_await store(std::move(block), std::move(lines));
    queued_bytes_ -= bytes;
    if (stored) counters(queue.table).rows.add(rows);
    for (Item& item : items) {
      if (stored) {
        store_seconds_.observe(std::chrono::duration<double>(steady_now() - item.since).count());
      }
      item.done(stored);
    }
  }
  queue.running = false;
  if (queued_bytes_ == 0) drained_.notify_all();
}

Task<InsertOutcome> Writer::insert(const Block& block, Duration patience) {
  std::string head = insert_head(block.table);
  std::string token = block.token;
  std::string rows = block.data;
  InsertOutcome outcome =
      co_await client_.insert(std::move(head), std::move(token), std::move(rows), patience);
  failures_in_row_ = outcome.kind == InsertOutcome::Kind::away ? failures_in_row_ + 1 : 0;
  co_return outcome;
}

Task<Result<void>> Writer::store(Block block, std::vector<LineRange> lines) {
  if (ready_) {
    const InsertOutcome outcome = co_await insert(block, kInsertPatience);
    if (outcome.kind == InsertOutcome::Kind::stored) co_return Result<void>{};
    // A refused block goes there as well; its replay puts it aside.
    block.attempted = true;
    set_away(outcome.message);
  }
  co_return co_await spool_block(std::move(block), std::move(lines));
}

Task<Result<void>> Writer::spool_block(Block block, std::vector<LineRange> lines) {
  const Table table = block.table;
  const uint32_t rows = block.rows;
  std::vector<Block> blocks;
  blocks.push_back(std::move(block));
  co_await lock_spool();
  std::function<Result<std::vector<SpoolPlace>>()> work = [this, &blocks] {
    return spool_.append(blocks);
  };
  auto places = co_await loop_.blocking<Result<std::vector<SpoolPlace>>>(std::move(work));
  spooled_bytes_ = spool_.bytes();
  unlock_spool();
  spool_gauge_.set(static_cast<double>(spooled_bytes_));
  if (!places) {
    Error error = std::move(places).error();
    const bool disk_full = error.message.find("No space left") != std::string::npos ||
                           error.message.find("quota exceeded") != std::string::npos;
    error.code = Code::unavailable;
    error.hint = disk_full ? std::string(kDiskFull) : "send it again later";
    log_warn("telemetry cannot be spooled", {{"reason", error.message}});
    co_return fail(std::move(error));
  }
  for (const LineRange& range : lines) index_.add(places->front(), range);
  counters(table).spooled.add(rows);
  co_return Result<void>{};
}

Task<Result<std::string>> Writer::read_spooled(SpoolPlace place) {
  std::function<Result<Block>()> work = [this, place] { return spool_.read_at(place); };
  auto block = co_await loop_.blocking<Result<Block>>(std::move(work));
  if (!block && block.error().code == Code::not_found) co_return std::string();
  if (!block) co_return fail(std::move(block).error());
  co_return std::move(block->data);
}

void Writer::clickhouse_ready() { ready_ = true; }

void Writer::set_away(const std::string& reason) {
  if (!ready_) return;
  ready_ = false;
  log_warn("ClickHouse is away, rows go to the spool", {{"reason", reason}});
  if (away_) away_();
}

Task<void> Writer::replay() {
  if (replaying_) co_return;
  replaying_ = true;
  co_await lock_spool();
  spool_.seal();
  const std::vector<uint64_t> segments = spool_.sealed();
  unlock_spool();
  for (const uint64_t segment : segments) {
    if (!ready_) break;
    const bool stored = co_await replay_segment(segment);
    if (!stored) break;
  }
  replaying_ = false;
}

Task<bool> Writer::replay_segment(uint64_t segment) {
  std::vector<Block> blocks;
  std::function<Result<uint64_t>()> work = [this, segment, &blocks] {
    auto spoiled = spool_.read(
        segment, [&blocks](SpoolPlace, Block block) { blocks.push_back(std::move(block)); });
    blocks = merge_blocks(std::move(blocks));
    return spoiled;
  };
  const auto spoiled = co_await loop_.blocking<Result<uint64_t>>(std::move(work));
  if (!spoiled) {
    log_error("a spool segment cannot be read", spoiled.error());
    co_return false;
  }
  uint64_t rows = 0;
  for (const Block& block : blocks) {
    const bool stored = co_await replay_block(block);
    if (!stored) co_return false;
    rows += block.rows;
  }
  co_await lock_spool();
  const auto removed = spool_.remove(segment);
  spooled_bytes_ = spool_.bytes();
  unlock_spool();
  index_.forget_segment(segment);
  spool_gauge_.set(static_cast<double>(spooled_bytes_));
  if (!removed) log_error("a spool segment cannot be removed", removed.error());
  log_info("spool segment replayed", {{"segment", segment}, {"rows", rows}});
  co_return removed.has_value();
}

Task<bool> Writer::replay_block(const Block& block) {
  const InsertOutcome outcome = co_await insert(block, kReplayPatience);
  if (outcome.kind == InsertOutcome::Kind::stored) co_return true;
  if (outcome.kind == InsertOutcome::Kind::away) {
    set_away(outcome.message);
    co_return false;
  }
  log_error("ClickHouse refuses a block for good, it is kept in the spool's folder dead",
            {{"table", to_string(block.table)}, {"rows", block.rows}, {"reason", outcome.message}});
  counters(block.table).dropped.add(block.rows);
  std::function<void()> bury = [this, &block] { spool_.bury(block); };
  co_await loop_.run_blocking(std::move(bury));
  co_return true;
}

Task<void> Writer::lock_spool() {
  while (spool_locked_) co_await spool_free_.wait(std::chrono::seconds(60));
  spool_locked_ = true;
}

void Writer::unlock_spool() {
  spool_locked_ = false;
  spool_free_.notify_all();
}

Task<void> Writer::drain(Duration deadline) {
  const Duration until = steady_now() + deadline;
  while (queued_bytes_ > 0) {
    const Duration left = until - steady_now();
    if (left <= Duration::zero()) co_return;
    co_await drained_.wait(left);
  }
}

}  // namespace nimbus::telemetry
