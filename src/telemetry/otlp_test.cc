// OTLP/HTTP against the real engine, with bodies as the JavaScript exporters send them.
#include <zlib.h>

#include "telemetry/otlp_rows.h"
#include "telemetry/telemetry_fixture.h"

using namespace nimbus;
using namespace nimbus::telemetry;

namespace {

const std::string kTraces = R"({"resourceSpans":[{"resource":{"attributes":[
 {"key":"service.name","value":{"stringValue":"nimbus-eval"}},
 {"key":"nimbus.org","value":{"stringValue":"globex"}},
 {"key":"nimbus.repo","value":{"stringValue":"globex/evals"}}],"droppedAttributesCount":0},
 "scopeSpans":[{"scope":{"name":"eval2otel","version":"1.0.0"},"spans":[
 {"traceId":"75CB9F87365ce6a632ac4ae2c7e57186","spanId":"a6b7782b10c0c35f","name":"chat llama3",
  "kind":3,"startTimeUnixNano":"1795494169226000000","endTimeUnixNano":1795494169231234110,
  "attributes":[{"key":"gen_ai.operation.name","value":{"stringValue":"chat"}},
  {"key":"gen_ai.request.model","value":{"stringValue":"llama3"}},
  {"key":"gen_ai.usage.input_tokens","value":{"intValue":12}},
  {"key":"gen_ai.usage.completion_tokens","value":{"intValue":"5"}},
  {"key":"gen_ai.request.temperature","value":{"doubleValue":0.5}},
  {"key":"gen_ai.response.finish_reasons","value":{"arrayValue":{"values":[{"stringValue":"stop"}]}}},
  {"key":"ok","value":{"boolValue":true}},{"key":"nothing","value":{}}],
  "events":[{"name":"gen_ai.evaluation.result","timeUnixNano":"1795494169231135622","attributes":[
   {"key":"gen_ai.evaluation.name","value":{"stringValue":"Relevance"}},
   {"key":"gen_ai.evaluation.score.value","value":{"doubleValue":4.5}}]}],
  "status":{"code":2,"message":"boom"},"links":[],"flags":257,"unknown":[{"x":{}}]}]}]}]})";

const std::string kLogs = R"({"resourceLogs":[{"resource":{"attributes":[
 {"key":"service.name","value":{"stringValue":"nimbus-eval"}}]},"scopeLogs":[{"scope":{"name":"runner"},
 "logRecords":[{"timeUnixNano":"1795494171371000000","severityNumber":17,"severityText":"ERROR",
  "body":{"stringValue":"step started"},"attributes":[{"key":"log.iostream","value":{"stringValue":"stdout"}}]},
 {"timeUnixNano":0,"observedTimeUnixNano":"1795494171371000000","severityNumber":9,"body":{},
  "eventName":"gen_ai.evaluation.result","attributes":[
  {"key":"evalops.case.id","value":{"stringValue":"c1"}},
  {"key":"gen_ai.evaluation.name","value":{"stringValue":"Relevance"}},
  {"key":"gen_ai.evaluation.score.value","value":{"intValue":4}},
  {"key":"gen_ai.evaluation.score.label","value":{"stringValue":"pass"}}]}]}]}]})";

const std::string kMetrics =
    R"({"resourceMetrics":[{"resource":{"attributes":[]},"scopeMetrics":[{"scope":
 {"name":"eval2otel","version":""},"metrics":[{"name":"gen_ai.client.token.usage","unit":"{token}",
 "histogram":{"aggregationTemporality":2,"dataPoints":[{"attributes":[],"bucketCounts":[0,0,1,0,"0"],
 "explicitBounds":[1,4,16,64],"count":1,"sum":12,"min":12,"max":12,"timeUnixNano":"1795494171379000000"}]}},
 {"name":"jobs","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{"asInt":"3"}]}},
 {"name":"load","gauge":{"dataPoints":[{"asDouble":0.5}]}},
 {"name":"old","summary":{"dataPoints":[{"count":1}]}}]}]}]})";

std::string gzip(std::string_view bytes) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// Protobuf by hand: a field with bytes.
std::string field(int number, std::string_view bytes) {
  std::string out(1, static_cast<char>(number << 3 | 2));
  size_t size = bytes.size();
  for (; size >= 0x80; size >>= 7) out += static_cast<char>(size | 0x80);
  out += static_cast<char>(size);
  return out + std::string(bytes);
}
std::string number(int field_number, uint64_t value) {
  std::string out(1, static_cast<char>(field_number << 3));
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}
std::string fixed(int field_number, uint64_t value) {
  std::string out(1, static_cast<char>(field_number << 3 | 1));
  out.append(reinterpret_cast<const char*>(&value), 8);
  return out;
}
std::string attribute(std::string_view key, std::string_view value) {
  return field(1, key) + field(2, field(1, value));
}
std::string protobuf_traces() {
  const std::string span =
      field(1, std::string(15, '\x11') + "\x22") + field(2, "\1\2\3\4\5\6\7\x08") +
      field(5, "chat m") + number(6, 3) + fixed(7, 1'795'494'169'226'000'000) +
      fixed(8, 1'795'494'169'326'000'000) + field(9, attribute("evalops.eval.id", "e1")) +
      field(9, attribute("evalops.case.id", "pb")) +
      field(9, field(1, "list") + field(2, field(5, field(1, number(3, 7))))) +
      field(15, number(3, 1));
  return field(1, field(1, field(1, attribute("service.name", "pb-suite"))) +
                      field(2, field(1, field(1, "scope")) + field(2, span)));
}

struct OtlpFixture : TelemetryFixture {
  net::ClientResponse post(std::string path, std::string body,
                           std::string type = "application/json", std::string encoding = "",
                           std::string token = "") {
    net::Headers headers{{"Content-Type", type}};
    if (!encoding.empty()) headers.add("Content-Encoding", encoding);
    return process->send("POST", std::move(path), token.empty() ? job_token(12) : token,
                         std::move(body), std::move(headers));
  }
  net::ClientResponse evals(const std::string& tail, const std::string& token) {
    return process->send("GET", "/api/v1/evals/runs" + tail, token);
  }
};

}  // namespace

TEST_CASE_FIXTURE(OtlpFixture,
                  "spans in JSON are stored under the credential's org and become eval cases") {
  if (!has_engine()) return;
  start_ready();
  const auto answer = post("/v1/traces", kTraces);
  CHECK(answer.status == 200);
  CHECK(answer.body == "{}");
  CHECK(answer.headers.find("Content-Type") == "application/json");
  const auto run = evals("/12", viewer);
  CHECK(run.status == 200);
  CHECK(run.body.find(
            "\"org\":\"acme\",\"repo\":\"app\",\"suite\":\"nimbus-eval\",\"run\":\"job-12\"") !=
        std::string::npos);
  CHECK(run.body.find(
            "\"metric\":\"Relevance\",\"model\":\"llama3\",\"score\":4.5,\"passed\":false") !=
        std::string::npos);
  CHECK(run.body.find("\"input_tokens\":12,\"output_tokens\":5") != std::string::npos);
  CHECK(run.body.find("\"error\":\"boom\"") != std::string::npos);
  CHECK(run.body.find("75cb9f87365ce6a632ac4ae2c7e57186") != std::string::npos);
  CHECK(evals("/12", foreign).status == 404);
  CHECK(evals("/12", admin).status == 200);
  CHECK(evals("", foreign).body == "{\"items\":[],\"next_cursor\":null}");
  CHECK(evals("?org=acme", foreign).body == "{\"items\":[],\"next_cursor\":null}");
  CHECK(evals("", viewer).body.find("\"job\":12") != std::string::npos);
}

TEST_CASE_FIXTURE(OtlpFixture, "protobuf gives the same, and answers in protobuf") {
  if (!has_engine()) return;
  start_ready();
  const auto answer = post("/v1/traces", protobuf_traces(), "application/x-protobuf");
  CHECK(answer.status == 200);
  CHECK(answer.body.empty());
  CHECK(answer.headers.find("Content-Type") == "application/x-protobuf");
  const auto run = evals("/12", viewer);
  CHECK(run.body.find("\"suite\":\"pb-suite\"") != std::string::npos);
  CHECK(run.body.find("\"case\":\"pb\"") != std::string::npos);
  CHECK(run.body.find("\"duration_ms\":100") != std::string::npos);
  const auto refused = post("/v1/traces", "\x0a\xff", "application/x-protobuf");
  CHECK(refused.status == 400);
  CHECK(refused.body.substr(0, 3) == "\x08\x03\x12");
}

TEST_CASE_FIXTURE(OtlpFixture, "an export sent again after a lost answer is stored once") {
  if (!has_engine()) return;
  start_ready();
  CHECK(post("/v1/logs", kLogs).status == 200);
  CHECK(post("/v1/logs", kLogs).status == 200);
  CHECK(post("/v1/traces", kTraces).status == 200);
  start_ready();  // forgets what it has seen; spans have ids
  CHECK(post("/v1/traces", kTraces).status == 200);
  const auto found = process->send("GET", "/api/v1/logs?q=step", viewer).body;
  CHECK(found.find("\"stream\":\"otlp\",\"level\":\"error\",\"text\":\"step started\"") !=
        std::string::npos);
  CHECK(seqs_of(found).size() == 1);
  const auto run = evals("/12", viewer).body;
  CHECK(run.find("\"cases\":2,\"passed\":1") != std::string::npos);
}

TEST_CASE_FIXTURE(OtlpFixture, "metrics are stored, summaries counted as rejected") {
  if (!has_engine()) return;
  start_ready();
  const auto answer = post("/v1/metrics", kMetrics);
  CHECK(answer.status == 200);
  CHECK(answer.body ==
        "{\"partialSuccess\":{\"rejectedDataPoints\":\"1\",\"errorMessage\":"
        "\"exponential histograms and summaries are not kept\"}}");
  const auto text = process->metrics.expose();
  for (const char* table : {"gauge", "sum", "histogram"}) {
    CHECK(text.find("nimbus_log_rows_total{table=\"otel_metrics_" + std::string(table) + "\"} 1") !=
          std::string::npos);
  }
}

TEST_CASE_FIXTURE(OtlpFixture, "gzip is inflated, and a bomb costs nothing") {
  if (!has_engine()) return;
  start_ready();
  CHECK(post("/v1/traces", gzip(kTraces), "application/json", "gzip").status == 200);
  CHECK(evals("/12", viewer).status == 200);
  const auto bomb =
      post("/v1/traces", gzip(std::string(kOtlpBytesMax + 1, ' ')), "application/json", "gzip");
  CHECK(bomb.status == 413);
  CHECK(bomb.body.find("\"code\":8") != std::string::npos);
  CHECK(post("/v1/traces", "not gzip", "application/json", "gzip").status == 400);
  CHECK(post("/v1/traces", gzip(kTraces).substr(0, 100), "application/json", "gzip").status == 400);
  CHECK(post("/v1/traces", kTraces, "application/json", "zstd").status == 415);
}

TEST_CASE_FIXTURE(OtlpFixture, "OTLP without a credential for it is refused") {
  start(without_engine());
  CHECK(process->send("POST", "/v1/traces", "", kTraces, {{"Content-Type", "application/json"}})
            .status == 401);
  CHECK(post("/v1/traces", kTraces, "application/json", "", viewer).status == 403);
  CHECK(post("/v1/traces", kTraces, "text/plain").status == 415);
  CHECK(post("/v1/traces", "{", "application/json").status == 400);
  const std::string ingest = access.token_of(access::TokenKind::ingest, "acme");
  CHECK(post("/v1/traces", kTraces, "application/json", "", ingest).status == 200);
}

TEST_CASE("a small request that would become an enormous one is cut, and says so") {
  std::string body = "{\"resourceSpans\":[";
  for (int i = 0; i < 200'000; ++i)
    body += i == 0 ? "{\"scopeSpans\":[{\"spans\":[{},{}]}]}" : ",{}";
  body += "]}";
  const auto parsed = parse_otlp_json(OtlpSignal::traces, body);
  REQUIRE(parsed.has_value());
  CHECK(parsed->rejected == 2);

  const std::string ids =
      R"("traceId":"75cb9f87365ce6a632ac4ae2c7e57186","spanId":"a6b7782b10c0c35f")";
  std::string wide =
      R"({"resourceSpans":[{"resource":{"attributes":[{"key":"k","value":{"stringValue":")" +
      std::string(60'000, 'x') + R"("}}]},"scopeSpans":[{"spans":[)";
  for (int i = 0; i < 2'000; ++i) wide += (i > 0 ? ",{" : "{") + ids + "}";
  wide += "]}]}]}";
  auto request = parse_otlp_json(OtlpSignal::traces, wide);
  REQUIRE(request.has_value());
  const auto batches = otlp_rows(*request, {"acme", "app", {12}, {1}}, 1);
  size_t bytes = 0;
  uint64_t rows = 0;
  for (const RowBatch& batch : batches) {
    bytes += batch.data.size();
    rows += batch.rows;
  }
  CHECK(bytes < kOtlpRowBytesMax + (size_t{1} << 20));
  CHECK(request->rejected > 0);
  CHECK(rows + request->rejected == 2'000);
}

TEST_CASE("values keep their text, whatever their type") {
  std::string body =
      R"({"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"kvlistValue":{"values":[
    {"key":"a","value":{"intValue":"-9007199254740993"}},{"key":"b","value":{"arrayValue":{"values":[
    {"doubleValue":"NaN"},{"boolValue":false},{"bytesValue":"AQI="},{}]}}}]}},
    "traceId":"dcufhzZc5qYyrErix+VxhgAA","spanId":"short"}]}]}]})";
  const auto parsed = parse_otlp_json(OtlpSignal::logs, body);
  REQUIRE(parsed.has_value());
  const OtlpLogRecord& record = parsed->groups[0].scopes[0].logs[0];
  CHECK(record.body == R"({"a":-9007199254740993,"b":["NaN",false,"AQI=",null]})");
  CHECK(record.trace_id.empty());
  CHECK(record.span_id.empty());
}

TEST_CASE("values nested too deep are refused") {
  std::string deep = "{}";
  for (int i = 0; i < 40; ++i) deep = R"({"arrayValue":{"values":[)" + deep + "]}}";
  std::string body = R"({"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":)" + deep + "}]}]}]}";
  CHECK(!parse_otlp_json(OtlpSignal::logs, body).has_value());
  std::string bytes;
  for (int i = 0; i < 40; ++i) bytes = field(5, field(1, bytes));
  CHECK(!parse_otlp_protobuf(OtlpSignal::logs, field(1, field(2, field(2, field(5, bytes)))))
             .has_value());
}
