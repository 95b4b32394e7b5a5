#include "telemetry/eval_query.h"

#include <charconv>
#include <cmath>

#include "api/json_text.h"
#include "base/encoding.h"
#include "base/text.h"
#include "evals/summary.h"
#include "net/http.h"
#include "telemetry/line_json.h"
#include "telemetry/otlp.h"
#include "telemetry/query_text.h"
#include "telemetry/row_binary.h"

namespace nimbus::telemetry {
namespace {

struct RunRow {
  int64_t job = 0;
  std::string org;
  std::string repo;
  evals::RunSummary summary;
};

// JSON has no NaN.
std::string number_json(double number) {
  return std::isfinite(number) ? otlp_number(number) : "null";
}

std::string optional_json(const std::optional<double>& number) {
  return number ? number_json(*number) : "null";
}

void add_run(api::JsonText& json, const RunRow& run) {
  const evals::RunSummary& summary = run.summary;
  std::string started = "\"";
  append_time(started, summary.started_ns);
  started += '"';
  const std::vector<std::string> models(summary.models.begin(), summary.models.end());
  json.integer("job", run.job).text("org", run.org).text("repo", run.repo);
  json.text("suite", summary.suite).text("run", summary.run).integer("cases", summary.cases);
  json.integer("passed", summary.passed).raw("score_mean", optional_json(summary.score_mean));
  json.integer("input_tokens", summary.input_tokens)
      .integer("output_tokens", summary.output_tokens);
  json.raw("started_at", started).raw("duration_s", number_json(summary.duration_s));
  json.raw("models", api::json_texts(models));
}

// Inner to outer: a span's results, a case's, a run's. The same arithmetic as evals/summary.cc,
// where the rows are.
std::string runs_sql(const QueryText& text, bool after_cursor) {
  const std::string rows = "(SELECT * FROM eval_cases FINAL WHERE " + text.conditions() +
                           " AND (job, fence) IN (SELECT job, max(fence) FROM eval_cases WHERE " +
                           text.conditions() + " GROUP BY job))";
  const std::string spans =
      "(SELECT job, suite, run, case, trace_id, span_id, any(org) AS o, any(repo) AS r,"
      " count(passed) AS verdicts, min(passed) AS ok, sum(score) AS s, count(score) AS n,"
      " max(input_tokens) AS i, max(output_tokens) AS u,"
      " min(toUnixTimestamp64Nano(ts)) AS begun,"
      " max(toUnixTimestamp64Nano(ts) + toInt64(ifNull(duration_ms, 0) * 1000000)) AS ended,"
      " groupUniqArrayIf(toString(model), model != '') AS m FROM " +
      rows + " GROUP BY job, suite, run, case, trace_id, span_id)";
  const std::string cases =
      "(SELECT job, suite, run, case, any(o) AS o, any(r) AS r, sum(verdicts) > 0 AND"
      " ifNull(min(ok), 0) = 1 AS passed, sum(s) AS s, sum(n) AS n, sum(i) AS i, sum(u) AS u,"
      " min(begun) AS begun, max(ended) AS ended, groupUniqArrayArray(m) AS m FROM " +
      spans + " GROUP BY job, suite, run, case)";
  return "SELECT job, toString(any(o)), toString(any(r)), toString(suite), run, toInt64(count()),"
         " toInt64(sum(passed)), toInt64(sum(n)), toFloat64(ifNull(sum(s), 0)),"
         " toInt64(ifNull(sum(i), 0)), toInt64(ifNull(sum(u), 0)), min(begun), max(ended),"
         " arraySort(groupUniqArrayArray(m)) FROM " +
         cases +
         (after_cursor ? " WHERE job < {cursor_job:Int64} OR (job = {cursor_job:Int64} AND"
                         " (suite, run) > ({cursor_suite:String}, {cursor_run:String}))"
                       : "") +
         " GROUP BY job, suite, run ORDER BY job DESC, suite, run LIMIT {limit:UInt32}";
}

Result<std::vector<RunRow>> read_runs(const std::string& rows) {
  std::vector<RunRow> runs;
  for (RowReader reader(rows); !reader.at_end();) {
    RunRow run;
    run.job = reader.i64();
    run.org = reader.text();
    run.repo = reader.text();
    evals::RunSummary& summary = run.summary;
    summary.suite = reader.text();
    summary.run = reader.text();
    summary.cases = reader.i64();
    summary.passed = reader.i64();
    const int64_t scores = reader.i64();
    const double score_sum = reader.f64();
    if (scores > 0) summary.score_mean = score_sum / static_cast<double>(scores);
    summary.input_tokens = reader.i64();
    summary.output_tokens = reader.i64();
    summary.started_ns = reader.i64();
    summary.duration_s = static_cast<double>(reader.i64() - summary.started_ns) / 1e9;
    const uint64_t models = reader.size();
    for (uint64_t i = 0; i < models && reader.ok(); ++i) summary.models.emplace(reader.text());
    if (!reader.ok())
      return fail(Code::corrupt, "reading eval runs: ClickHouse's answer ends early");
    runs.push_back(std::move(run));
  }
  return runs;
}

std::string cursor_of(const RunRow& run) {
  RowWriter bytes;
  bytes.i64(run.job);
  bytes.text(run.summary.suite);
  bytes.text(run.summary.run);
  return to_hex(bytes.bytes());
}

Result<void> bind_cursor(const std::string& cursor, QueryText& text) {
  const auto bytes = parse_hex(cursor);
  if (!bytes) return fail(Code::bad_request, "cursor is not one of ours");
  RowReader reader(*bytes);
  const int64_t job = reader.i64();
  const std::string suite(reader.text());
  const std::string run(reader.text());
  if (!reader.ok() || reader.remaining() != 0) {
    return fail(Code::bad_request, "cursor is not one of ours");
  }
  text.bind("cursor_job", std::to_string(job)).bind("cursor_suite", suite).bind("cursor_run", run);
  return {};
}

template <typename Read>
auto read_nullable(RowReader& reader, Read read) -> std::optional<decltype(read())> {
  if (reader.u8() != 0) return std::nullopt;
  return read();
}

Result<int64_t> parse_number(std::string_view name, std::string_view text, int64_t max) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < 1 || number > max) {
    return fail(Code::bad_request,
                std::string(name) + " must be a number from 1 to " + std::to_string(max));
  }
  return number;
}

std::string case_json(const evals::EvalCase& one) {
  api::JsonText json;
  json.text("case", one.case_id).text("suite", one.suite).text("run", one.run);
  json.text("metric", one.metric).text("model", one.model).raw("score", optional_json(one.score));
  json.raw("passed", one.passed ? (*one.passed ? "true" : "false") : "null");
  json.text("label", one.label).integer("input_tokens", one.input_tokens.value_or(0));
  json.integer("output_tokens", one.output_tokens.value_or(0));
  json.raw("duration_ms", number_json(one.duration_ms.value_or(0))).text("error", one.error);
  json.text("trace_id", one.trace_id).text("span_id", one.span_id);
  return json.finish();
}

}  // namespace

Result<EvalRunsQuery> parse_eval_runs_query(const net::Request& request,
                                            const access::OrgScope& orgs) {
  EvalRunsQuery query;
  query.orgs = orgs.narrow(request.find_query("org"));
  query.repo = request.find_query("repo").value_or("");
  query.suite = request.find_query("suite").value_or("");
  query.cursor = request.find_query("cursor").value_or("");
  if (const auto job = request.find_query("job")) {
    query.job = TRY(parse_number("job", *job, INT64_MAX));
  }
  if (const auto limit = request.find_query("limit")) {
    query.limit = static_cast<size_t>(TRY(parse_number("limit", *limit, kEvalRunsMax)));
  }
  return query;
}

Task<Result<std::string>> list_eval_runs(ClickhouseClient& client, EvalRunsQuery query) {
  QueryText text(query.orgs, "org");
  if (!query.repo.empty()) {
    text.where("lower(repo) = {repo:String}").bind("repo", to_lower(query.repo));
  }
  if (!query.suite.empty()) text.where("suite = {suite:String}").bind("suite", query.suite);
  if (query.job != 0) text.where("job = {job:Int64}").bind("job", std::to_string(query.job));
  if (!query.cursor.empty()) {
    const auto bound = bind_cursor(query.cursor, text);
    if (!bound) co_return fail(bound.error());
  }
  text.bind("limit", std::to_string(query.limit));
  ClickhouseQuery ask;
  ask.sql = runs_sql(text, !query.cursor.empty());
  ask.parameters = text.parameters();
  CO_TRY_ASSIGN(const std::string rows, co_await client.select(std::move(ask)));
  const auto runs = read_runs(rows);
  if (!runs) co_return fail(runs.error());
  std::vector<std::string> items;
  for (const RunRow& run : *runs) {
    api::JsonText json;
    add_run(json, run);
    items.push_back(json.finish());
  }
  api::JsonText page;
  page.raw("items", api::json_array(items));
  if (runs->size() == query.limit) {
    page.text("next_cursor", cursor_of(runs->back()));
  } else {
    page.null("next_cursor");
  }
  co_return page.finish();
}

Task<Result<std::optional<JobEvals>>> read_job_evals(ClickhouseClient& client,
                                                     access::OrgScope orgs, int64_t job) {
  QueryText text(orgs, "org");
  text.where("job = {job:Int64}").bind("job", std::to_string(job));
  text.bind("limit", std::to_string(kEvalCasesMax));
  ClickhouseQuery ask;
  ask.sql =
      "SELECT toString(org), toString(repo), fence, toString(suite), run, case,"
      " toString(metric), toString(model), score, passed, toString(label), input_tokens,"
      " output_tokens, duration_ms, error, trace_id, span_id, ts FROM eval_cases FINAL WHERE " +
      text.conditions() + " AND fence = (SELECT max(fence) FROM eval_cases WHERE " +
      text.conditions() + ") ORDER BY suite, run, case, metric, ts LIMIT {limit:UInt32}";
  ask.parameters = text.parameters();
  CO_TRY_ASSIGN(const std::string rows, co_await client.select(std::move(ask)));
  std::optional<JobEvals> found;
  for (RowReader reader(rows); !reader.at_end();) {
    if (!found) found.emplace();
    found->org = reader.text();
    found->repo = reader.text();
    found->fence = reader.i64();
    evals::EvalCase one;
    one.suite = reader.text();
    one.run = reader.text();
    one.case_id = reader.text();
    one.metric = reader.text();
    one.model = reader.text();
    one.score = read_nullable(reader, [&reader] { return reader.f64(); });
    one.passed = read_nullable(reader, [&reader] { return reader.u8() != 0; });
    one.label = reader.text();
    one.input_tokens = read_nullable(reader, [&reader] { return reader.i64(); });
    one.output_tokens = read_nullable(reader, [&reader] { return reader.i64(); });
    one.duration_ms = read_nullable(reader, [&reader] { return reader.f64(); });
    one.error = reader.text();
    one.trace_id = reader.text();
    one.span_id = reader.text();
    one.ts_ns = reader.i64();
    if (!reader.ok())
      co_return fail(Code::corrupt, "reading eval cases: ClickHouse's answer ends early");
    found->cases.push_back(std::move(one));
  }
  co_return found;
}

std::string job_evals_json(int64_t job, const JobEvals& found) {
  std::vector<std::string> runs;
  std::vector<std::string> details;
  api::JsonText json;
  bool first = true;
  for (const evals::RunSummary& summary : evals::summarise(found.cases)) {
    const RunRow row{job, found.org, found.repo, summary};
    if (std::exchange(first, false)) add_run(json, row);
    api::JsonText run;
    add_run(run, row);
    runs.push_back(run.finish());
  }
  for (const evals::EvalCase& one : found.cases) details.push_back(case_json(one));
  json.integer("fence", found.fence).raw("runs", api::json_array(runs));
  json.raw("cases_detail", api::json_array(details));
  return json.finish();
}

}  // namespace nimbus::telemetry
