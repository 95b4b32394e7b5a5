#include "telemetry/log_history.h"

#include <algorithm>
#include <iterator>

#include "base/text.h"

namespace nimbus::telemetry {
namespace {

constexpr int64_t kWindowLines = 8'192;  // a granule of the table

constexpr std::string_view kOfJob =
    " FROM job_logs WHERE lower(org) = {org:String} AND repo = {repo:String} AND job = {job:Int64}";

ClickhouseQuery query_of(const LogOwner& owner, std::string sql) {
  ClickhouseQuery query;
  query.sql = std::move(sql);
  query.parameters = {{"org", to_lower(owner.org)},
                      {"repo", owner.repo},
                      {"job", std::to_string(owner.job.value)},
                      {"fence", std::to_string(owner.fence.value)}};
  return query;
}

model::LogStream stream_of(std::string_view name) {
  if (name == to_string(model::LogStream::err)) return model::LogStream::err;
  if (name == to_string(model::LogStream::system)) return model::LogStream::system;
  return model::LogStream::out;
}

std::vector<model::LogLine> merge(std::vector<model::LogLine> a, std::vector<model::LogLine> b) {
  if (b.empty()) return a;
  const auto by_seq = [](const auto& x, const auto& y) { return x.seq < y.seq; };
  std::vector<model::LogLine> merged;
  merged.reserve(a.size() + b.size());
  std::merge(std::make_move_iterator(a.begin()), std::make_move_iterator(a.end()),
             std::make_move_iterator(b.begin()), std::make_move_iterator(b.end()),
             std::back_inserter(merged), by_seq);
  const auto same = [](const auto& x, const auto& y) { return x.seq == y.seq; };
  merged.erase(std::unique(merged.begin(), merged.end(), same), merged.end());
  return merged;
}

}  // namespace

Task<Result<std::vector<model::LogLine>>> LogHistory::read(LogOwner owner, int64_t after,
                                                           size_t limit) {
  // The spool first: what leaves it while we look is in ClickHouse by the time we ask there.
  CO_TRY_ASSIGN(std::vector<model::LogLine> spooled, co_await from_spool(owner, after));
  std::vector<model::LogLine> stored;
  if (writer_.ready()) {
    // Bounded from above too: lines are numbered without gaps, and a page of a long log must not
    // cost all that follows it.
    const int64_t window = after + std::max<int64_t>(static_cast<int64_t>(limit), kWindowLines);
    auto page = co_await from_clickhouse(owner, after, window, limit);
    if (page && page->empty()) page = co_await from_clickhouse(owner, after, INT64_MAX, limit);
    const bool next_is_spooled = !spooled.empty() && spooled.front().seq == after + 1;
    if (!page && (page.error().code != Code::unavailable || !next_is_spooled)) {
      co_return fail(std::move(page).error());
    }
    if (page) stored = std::move(*page);
    // Spooled lines beyond the page may have stored ones in between.
    if (!stored.empty()) {
      const int64_t last = stored.size() == limit ? stored.back().seq : window;
      std::erase_if(spooled, [last](const model::LogLine& line) { return line.seq > last; });
    }
  } else if (spooled.empty() || spooled.front().seq != after + 1) {
    co_return fail(Code::unavailable, "the log's history is not available now",
                   "ClickHouse is starting or away; lines of running jobs can still be followed");
  }
  std::vector<model::LogLine> lines = merge(std::move(stored), std::move(spooled));
  if (!writer_.ready()) {
    // Without ClickHouse a gap may be its lines: stop there.
    size_t whole = 0;
    while (whole < lines.size() && lines[whole].seq == after + 1 + static_cast<int64_t>(whole)) {
      ++whole;
    }
    lines.resize(whole);
  }
  if (lines.size() > limit) lines.resize(limit);
  co_return lines;
}

Task<Result<std::vector<model::LogLine>>> LogHistory::from_spool(LogOwner owner, int64_t after) {
  std::vector<model::LogLine> lines;
  if (writer_.index().empty()) co_return lines;
  for (const SpoolIndex::Entry& entry : writer_.index().find(owner.job, owner.fence, after)) {
    CO_TRY_ASSIGN(const std::string block, co_await writer_.read_spooled(entry.place));
    read_log_rows(block, [&](const LogRow& row) {
      const bool ours = row.job == owner.job && row.fence == owner.fence && row.seq > after &&
                        equal_ignoring_case(row.org, owner.org) && row.repo == owner.repo;
      if (!ours) return;
      lines.push_back(
          {row.ts_ns, row.seq, stream_of(row.stream), std::string(row.text), row.partial});
    });
  }
  const auto by_seq = [](const auto& a, const auto& b) { return a.seq < b.seq; };
  std::sort(lines.begin(), lines.end(), by_seq);
  const auto same = [](const auto& a, const auto& b) { return a.seq == b.seq; };
  lines.erase(std::unique(lines.begin(), lines.end(), same), lines.end());
  co_return lines;
}

Task<Result<std::vector<model::LogLine>>> LogHistory::from_clickhouse(LogOwner owner, int64_t after,
                                                                      int64_t last, size_t limit) {
  std::string sql = "SELECT stream, seq, ts, text, partial" + std::string(kOfJob) +
                    " AND fence = {fence:Int64} AND seq > {after:Int64} AND seq <= {last:Int64}"
                    " ORDER BY seq LIMIT 1 BY seq LIMIT {limit:UInt32}";
  ClickhouseQuery query = query_of(owner, std::move(sql));
  query.parameters.emplace_back("after", std::to_string(after));
  query.parameters.emplace_back("last", std::to_string(last));
  query.parameters.emplace_back("limit", std::to_string(limit));
  CO_TRY_ASSIGN(const std::string rows, co_await client_.select(std::move(query)));
  std::vector<model::LogLine> lines;
  for (RowReader reader(rows); !reader.at_end();) {
    model::LogLine line;
    line.stream = stream_of(reader.text());
    line.seq = reader.i64();
    line.ts_ns = reader.i64();
    line.text = reader.text();
    line.partial = reader.u8() != 0;
    if (!reader.ok())
      co_return fail(Code::corrupt, "reading a job's log: ClickHouse's answer ends early");
    lines.push_back(std::move(line));
  }
  co_return lines;
}

Task<Result<LogHistory::Known>> LogHistory::known(LogOwner owner, int seconds_max) {
  Known known;
  // The spool first, as above.
  for (const auto& [fence, entries] : writer_.index().of_job(owner.job)) {
    LogOwner execution = owner;
    execution.fence = fence;
    CO_TRY_ASSIGN(const auto lines, co_await from_spool(std::move(execution), 0));
    for (const model::LogLine& line : lines) known[fence].add(line.seq, line.seq);
  }
  std::string sql =
      "SELECT fence, min(seq), max(seq), uniqExact(seq)" + std::string(kOfJob) + " GROUP BY fence";
  ClickhouseQuery query = query_of(owner, std::move(sql));
  query.seconds_max = seconds_max;
  CO_TRY_ASSIGN(const std::string rows, co_await client_.select(std::move(query)));
  for (RowReader reader(rows); !reader.at_end();) {
    LogOwner execution = owner;
    execution.fence = {reader.i64()};
    const int64_t first = reader.i64();
    const int64_t last = reader.i64();
    const auto count = static_cast<int64_t>(reader.u64());
    if (!reader.ok())
      co_return fail(Code::corrupt, "reading a job's log: ClickHouse's answer ends early");
    SeqSet& seqs = known[execution.fence];
    if (count == last - first + 1) {
      seqs.add(first, last);
    } else {
      CO_TRY(co_await read_ranges(std::move(execution), seqs, seconds_max));
    }
  }
  co_return known;
}

Task<Result<void>> LogHistory::read_ranges(LogOwner owner, SeqSet& into, int seconds_max) {
  // Lines of one gapless run share the difference between seq and their rank.
  std::string sql =
      "SELECT min(seq), max(seq) FROM (SELECT seq, seq - row_number() OVER (ORDER BY seq) AS run"
      " FROM (SELECT DISTINCT seq" +
      std::string(kOfJob) +
      " AND fence = {fence:Int64})) GROUP BY run ORDER BY min(seq) LIMIT 10001";
  ClickhouseQuery query = query_of(owner, std::move(sql));
  query.seconds_max = seconds_max;
  CO_TRY_ASSIGN(const std::string rows, co_await client_.select(std::move(query)));
  for (RowReader reader(rows); !reader.at_end();) {
    const int64_t first = reader.i64();
    const int64_t last = reader.i64();
    if (reader.ok()) into.add(first, last);
  }
  co_return Result<void>{};
}

}  // namespace nimbus::telemetry
