#include "telemetry/log_search.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "api/json_text.h"
#include "base/encoding.h"
#include "net/http.h"
#include "telemetry/line_json.h"
#include "telemetry/query_text.h"
#include "telemetry/row_binary.h"

namespace nimbus::telemetry {
namespace {

constexpr size_t kTwinRows = 50;  // asked for beyond the page, for lines that are there twice
constexpr std::array<std::string_view, 4> kLevels = {"debug", "info", "warn", "error"};

// Where a page ended: time and a hash of the line, which orders lines of one instant.
struct Cursor {
  int64_t ts_ns = INT64_MAX;
  uint64_t key = UINT64_MAX;
};

Result<Cursor> parse_cursor(std::string_view text) {
  Cursor cursor;
  const auto bytes = parse_hex(text);
  if (!bytes || bytes->size() != 16) return fail(Code::bad_request, "cursor is not one of ours");
  RowReader reader(*bytes);
  cursor.ts_ns = reader.i64();
  cursor.key = reader.u64();
  return cursor;
}

std::string cursor_text(const Cursor& cursor) {
  RowWriter bytes;
  bytes.i64(cursor.ts_ns);
  bytes.u64(cursor.key);
  return to_hex(bytes.bytes());
}

// A condition stands in both halves of the query, over the names that both halves give.
std::string conditions_of(const LogSearch& search) {
  std::string text;
  if (!search.repo.empty()) text += " AND lower(line_repo) = lower({repo:String})";
  if (search.job != 0) text += " AND line_job = {job:Int64}";
  if (!search.level.empty()) text += " AND line_level = {level:String}";
  if (!search.text.empty())
    text += " AND positionCaseInsensitiveUTF8(line_text, {text:String}) > 0";
  text += " AND (line_ts, line_key) < ({cursor_ts:Int64}, {cursor_key:UInt64})";
  return text;
}

struct Half {
  std::string_view columns;
  std::string_view table;
  std::string_view time;  // its column, which has a minmax index
};

std::string sql_of(const Half& half, const QueryText& owner, const std::string& conditions) {
  const std::string time(half.time);
  // Ordered by the column itself: that is what ClickHouse can answer without sorting everything.
  return "SELECT " + std::string(half.columns) + " FROM " + std::string(half.table) + " WHERE " +
         owner.conditions() + " AND " + time + " >= fromUnixTimestamp64Nano({since:Int64}) AND " +
         time + " <= fromUnixTimestamp64Nano({until:Int64})" + conditions + " ORDER BY " + time +
         " DESC, line_key DESC LIMIT {limit:UInt32}";
}

constexpr std::string_view kJobColumns =
    "toUnixTimestamp64Nano(ts) AS line_ts, cityHash64(job, fence, seq) AS line_key,"
    " toString(org) AS line_org, toString(repo) AS line_repo, job AS line_job, fence AS line_fence,"
    " seq AS line_seq, toString(stream) AS line_stream, toString(level) AS line_level,"
    " text AS line_text";
constexpr std::string_view kOtelColumns =
    "toUnixTimestamp64Nano(Timestamp) AS line_ts,"
    " cityHash64(JobId, Fence, TraceId, SpanId, Body) AS line_key, toString(Org) AS line_org,"
    " toString(Repo) AS line_repo, JobId AS line_job, Fence AS line_fence, toInt64(0) AS line_seq,"
    " 'otlp' AS line_stream, multiIf(SeverityNumber >= 17, 'error', SeverityNumber >= 13, 'warn',"
    " SeverityNumber >= 9, 'info', SeverityNumber >= 1, 'debug', 'info') AS line_level,"
    " Body AS line_text";

std::string sql_of(const LogSearch& search, const QueryText& jobs, const QueryText& otel) {
  const std::string conditions = conditions_of(search);
  return "SELECT line_ts, line_key, line_org, line_repo, line_job, line_fence, line_seq,"
         " line_stream, line_level, line_text FROM (" +
         sql_of({kJobColumns, "job_logs", "ts"}, jobs, conditions) + " UNION ALL " +
         sql_of({kOtelColumns, "otel_logs", "Timestamp"}, otel, conditions) +
         ") ORDER BY line_ts DESC, line_key DESC LIMIT {limit:UInt32}";
}

Result<int64_t> parse_number(std::string_view name, std::string_view text, int64_t min,
                             int64_t max) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < min || number > max) {
    return fail(Code::bad_request, std::string(name) + " must be a number from " +
                                       std::to_string(min) + " to " + std::to_string(max));
  }
  return number;
}

struct Page {
  std::string items;
  size_t rows = 0;   // of the answer
  size_t count = 0;  // of the items
  Cursor last;
};

void append_item(std::string& json, int64_t ts_ns, RowReader& reader) {
  json += "{\"ts\":\"";
  append_time(json, ts_ns);
  json += "\",\"org\":";
  append_json_text(json, reader.text());
  json += ",\"repo\":";
  append_json_text(json, reader.text());
  for (const std::string_view name : {"job", "fence", "seq"}) {
    json += ",\"" + std::string(name) + "\":" + std::to_string(reader.i64());
  }
  for (const std::string_view name : {"stream", "level", "text"}) {
    json += ",\"" + std::string(name) + "\":";
    append_json_text(json, reader.text());
  }
  json += '}';
}

// At most `limit` items, each line once: the table may hold one twice until a merge.
Result<Page> read_page(const std::string& rows, size_t limit) {
  Page page;
  std::string item;
  for (RowReader reader(rows); !reader.at_end(); ++page.rows) {
    Cursor cursor;
    cursor.ts_ns = reader.i64();
    cursor.key = reader.u64();
    item.clear();
    append_item(item, cursor.ts_ns, reader);
    if (!reader.ok()) return fail(Code::corrupt, "searching logs: ClickHouse's answer ends early");
    const bool again =
        page.count > 0 && cursor.ts_ns == page.last.ts_ns && cursor.key == page.last.key;
    if (again || page.count == limit) continue;
    if (page.count > 0) page.items += ',';
    page.items += item;
    page.last = cursor;
    ++page.count;
  }
  return page;
}

int64_t to_ns(Time time) { return to_us(time) * 1000; }

// The times to search from, the next when a page is not full. Times lie between 1900 and 2262.
std::vector<int64_t> starts_of(const LogSearch& search, const Cursor& cursor) {
  if (search.since) return {to_ns(*search.since)};
  int64_t newest = std::min(to_ns(search.now), cursor.ts_ns);
  if (search.until) newest = std::min(newest, to_ns(*search.until));
  std::vector<int64_t> starts;
  for (const int hours : {1, 24}) {
    const std::chrono::nanoseconds back = std::chrono::hours(hours);
    starts.push_back(std::max<int64_t>(0, newest - back.count()));
  }
  starts.push_back(0);
  return starts;
}

}  // namespace

Result<LogSearch> parse_log_search(const net::Request& request, const access::OrgScope& orgs,
                                   Time now) {
  LogSearch search;
  search.now = now;
  search.orgs = orgs.narrow(request.find_query("org"));
  search.repo = request.find_query("repo").value_or("");
  search.level = request.find_query("level").value_or("");
  search.text = request.find_query("q").value_or("");
  search.cursor = request.find_query("cursor").value_or("");
  if (const auto job = request.find_query("job")) {
    search.job = TRY(parse_number("job", *job, 1, INT64_MAX));
  }
  if (const auto limit = request.find_query("limit")) {
    search.limit = static_cast<size_t>(TRY(parse_number("limit", *limit, 1, kSearchLimitMax)));
  }
  if (const auto since = request.find_query("since")) {
    search.since = TRY_IN("since", parse_rfc3339(*since));
  }
  if (const auto until = request.find_query("until")) {
    search.until = TRY_IN("until", parse_rfc3339(*until));
  }
  const bool known = search.level.empty() ||
                     std::find(kLevels.begin(), kLevels.end(), search.level) != kLevels.end();
  if (!known) return fail(Code::bad_request, "level must be debug, info, warn or error");
  if (search.text.size() > kSearchTextBytesMax || search.repo.size() > access::kRepoNameBytesMax) {
    return fail(Code::bad_request, "q takes at most " + std::to_string(kSearchTextBytesMax) +
                                       " bytes, repo " + std::to_string(access::kRepoNameBytesMax));
  }
  return search;
}

Task<Result<std::string>> search_logs(ClickhouseClient& client, LogSearch search) {
  Cursor cursor;
  if (!search.cursor.empty()) {
    const auto parsed = parse_cursor(search.cursor);
    if (!parsed) co_return fail(parsed.error());
    cursor = *parsed;
  }
  QueryText jobs(search.orgs, "org");
  const QueryText otel(search.orgs, "Org");
  // `until` itself is outside.
  const int64_t until = search.until ? to_ns(*search.until) - 1 : INT64_MAX;
  jobs.bind("repo", search.repo)
      .bind("job", std::to_string(search.job))
      .bind("level", search.level)
      .bind("text", search.text)
      .bind("until", std::to_string(until))
      .bind("cursor_ts", std::to_string(cursor.ts_ns))
      .bind("cursor_key", std::to_string(cursor.key))
      .bind("limit", std::to_string(search.limit + kTwinRows));
  Page page;
  for (const int64_t since : starts_of(search, cursor)) {
    ClickhouseQuery query;
    query.sql = sql_of(search, jobs, otel);
    query.parameters = jobs.parameters();
    query.parameters.emplace_back("since", std::to_string(since));
    CO_TRY_ASSIGN(const std::string rows, co_await client.select(std::move(query)));
    auto read = read_page(rows, search.limit);
    if (!read) co_return fail(std::move(read).error());
    page = std::move(*read);
    if (page.count >= search.limit || since == 0) break;
  }
  const bool more = page.count == search.limit || page.rows == search.limit + kTwinRows;
  const std::string next = more ? "\"" + cursor_text(page.last) + "\"" : "null";
  co_return "{\"items\":[" + page.items + "],\"next_cursor\":" + next + "}";
}

}  // namespace nimbus::telemetry
