#include "telemetry/log_ingest.h"

#include <algorithm>

#include "base/text.h"

namespace nimbus::telemetry {
namespace {

constexpr int kLoadSeconds = 3;  // an engine slower than that is treated as away
// How long a resent line waits for its first copy, which another request is storing.
constexpr Duration kTwinPatience = std::chrono::seconds(20);

// Calls with the first and last seq of each run without a gap.
template <typename Call>
void for_each_run(const std::vector<model::LogLine>& lines, Call call) {
  for (size_t i = 0; i < lines.size();) {
    size_t end = i + 1;
    while (end < lines.size() && lines[end].seq == lines[end - 1].seq + 1) ++end;
    call(lines[i].seq, lines[end - 1].seq);
    i = end;
  }
}

}  // namespace

Task<Result<int64_t>> LogIngest::take(LogOwner owner, std::vector<model::LogLine> lines) {
  const LiveJobUse job(book_.open(owner));
  if (!equal_ignoring_case(job->owner.org, owner.org) || job->owner.repo != owner.repo) {
    co_return fail(Code::conflict, "the job belongs to another repository");
  }
  while (job->loading) co_await job->changed.wait(std::chrono::seconds(1));
  if (!job->loaded) co_await load(*job);
  if (owner.fence < job->latest) {
    co_return fail(Code::conflict, "a later execution of the job has begun");
  }
  job->latest = owner.fence;
  if (lines.empty()) co_return job->logs[owner.fence].durable.highest();
  const int64_t last = lines.back().seq;
  std::vector<int64_t> twins;  // being stored by another request
  LiveLog& log = job->logs[owner.fence];
  std::erase_if(lines, [&](const model::LogLine& line) {
    if (!log.accepted.contains(line.seq)) return false;
    if (!log.durable.contains(line.seq)) twins.push_back(line.seq);
    return true;
  });
  const model::Fence fence = owner.fence;
  if (!lines.empty()) {
    CO_TRY(co_await store(*job, std::move(owner), std::move(lines)));
  }
  if (!twins.empty()) {
    CO_TRY(co_await wait_durable(*job, fence, std::move(twins)));
  }
  co_return last;
}

Task<void> LogIngest::load(LiveJob& job) {
  // While ClickHouse is away lines are taken without knowing; what is stored twice then is read
  // once (ReplacingMergeTree, and LIMIT 1 BY in every query).
  if (!writer_.ready()) co_return;
  job.loading = true;
  const auto known = co_await history_.known(job.owner, kLoadSeconds);
  job.loading = false;
  job.changed.notify_all();
  if (!known) co_return;
  job.loaded = true;
  for (const auto& [fence, seqs] : *known) {
    LiveLog& log = job.logs[fence];
    for (const auto& [first, last] : seqs.ranges()) {
      log.accepted.add(first, last);
      log.durable.add(first, last);
    }
    job.latest = std::max(job.latest, fence);
  }
}

Task<Result<void>> LogIngest::store(LiveJob& job, LogOwner owner,
                                    std::vector<model::LogLine> lines) {
  const model::Fence fence = owner.fence;
  bool fits = true;
  for_each_run(lines, [&](int64_t first, int64_t last) {
    fits = fits && job.logs[fence].accepted.add(first, last);
  });
  if (!fits) {
    for_each_run(
        lines, [&](int64_t first, int64_t last) { job.logs[fence].accepted.remove(first, last); });
    co_return fail(Code::bad_request, "the log has too many gaps");
  }
  RowWriter rows;
  for (const model::LogLine& line : lines) write_log_row(rows, owner, line);
  RowBatch batch;
  batch.table = Table::job_logs;
  batch.rows = static_cast<uint32_t>(lines.size());
  batch.data = rows.take();
  batch.lines = LineRange{owner.job, fence, lines.front().seq, lines.back().seq};
  book_.show(job, fence, lines);
  const auto stored = co_await writer_.write(std::move(batch));
  LiveLog& log = job.logs[fence];
  for_each_run(lines, [&](int64_t first, int64_t last) {
    if (stored) {
      log.durable.add(first, last);
    } else {
      log.accepted.remove(first, last);
    }
  });
  if (!stored) book_.hide(job, fence, lines);
  job.changed.notify_all();
  co_return stored;
}

Task<Result<void>> LogIngest::wait_durable(LiveJob& job, model::Fence fence,
                                           std::vector<int64_t> seqs) {
  const auto until = std::chrono::steady_clock::now() + kTwinPatience;
  while (true) {
    const LiveLog& log = job.logs[fence];
    const auto missing = std::find_if(seqs.begin(), seqs.end(),
                                      [&log](int64_t seq) { return !log.durable.contains(seq); });
    if (missing == seqs.end()) co_return Result<void>{};
    const bool failed = !log.accepted.contains(*missing);
    if (failed || std::chrono::steady_clock::now() > until) {
      co_return fail(Code::unavailable, "the lines are still being stored", "send them again");
    }
    co_await job.changed.wait(std::chrono::seconds(1));
  }
}

}  // namespace nimbus::telemetry
