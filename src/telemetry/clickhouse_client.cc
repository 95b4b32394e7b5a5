#include "telemetry/clickhouse_client.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace nimbus::telemetry {
namespace {

constexpr size_t kAnswerBytesMax = size_t{256} << 20;
constexpr int kReadBytesMax = 400'000'000;                  // a query's memory in the engine
constexpr Duration kQueryLeeway = std::chrono::seconds(2);  // for the answer to a query cut off
constexpr Duration kSchemaTimeout = std::chrono::seconds(60);
constexpr Duration kPingTimeout = std::chrono::seconds(2);
constexpr int kNotEnoughSpace = 243;

// Exceptions that say the rows themselves cannot be stored (ClickHouse's ErrorCodes.cpp): sending
// them again gives the same answer. Every other failure is of the moment.
constexpr std::array<int, 16> kRowsRefused = {6,  15, 16, 26,  27,  32,  33,  36,
                                              41, 53, 69, 117, 130, 131, 349, 441};

int exception_code(const net::ClientResponse& response) {
  int code = 0;
  const auto text = response.headers.find("X-ClickHouse-Exception-Code");
  if (text) std::from_chars(text->data(), text->data() + text->size(), code);
  return code;
}

// The first line of an exception's text, without the server's own stack.
std::string first_line(std::string_view body) {
  constexpr size_t kBytesMax = 500;
  return std::string(body.substr(0, std::min(body.find('\n'), kBytesMax)));
}

double seconds_since(Duration start) {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now - start).count();
}

Duration steady_now() {
  return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch());
}

}  // namespace

std::string escape_parameter(std::string_view value) {
  std::string out;
  out.reserve(value.size());
  for (const char c : value) {
    switch (c) {
      case '\\': out += "\\\\"; break;
      case '\t': out += "\\t"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\0': out += "\\0"; break;
      default: out += c;
    }
  }
  return out;
}

ClickhouseClient::ClickhouseClient(net::Loop& loop, ClickhouseOptions options, Metrics& metrics)
    : client_(loop),
      options_(std::move(options)),
      insert_seconds_(metrics.histogram("nimbus_clickhouse_insert_seconds",
                                        "Time to store one block in ClickHouse.")),
      query_seconds_(
          metrics.histogram("nimbus_clickhouse_query_seconds", "Time of one ClickHouse query.")) {
  while (options_.url.ends_with('/')) options_.url.pop_back();
}

net::ClientRequest ClickhouseClient::request(
    const std::vector<std::pair<std::string, std::string>>& arguments) const {
  net::ClientRequest request;
  request.method = "POST";
  request.url = options_.url + "/";
  char separator = '?';
  for (const auto& [name, value] : arguments) {
    request.url += separator + net::percent_encode(name) + '=' + net::percent_encode(value);
    separator = '&';
  }
  if (!options_.user.empty()) {
    request.headers.add("X-ClickHouse-User", options_.user);
    request.headers.add("X-ClickHouse-Key", options_.password.reveal());
  }
  request.answer_bytes_max = kAnswerBytesMax;
  return request;
}

Task<Result<std::string>> ClickhouseClient::select(ClickhouseQuery query) {
  std::vector<std::pair<std::string, std::string>> arguments = {
      {"database", options_.database},
      {"default_format", "RowBinary"},
      {"readonly", "2"},
      {"wait_end_of_query", "1"},
      {"max_execution_time", std::to_string(query.seconds_max)},
      {"max_memory_usage", std::to_string(kReadBytesMax)},
  };
  for (const auto& [name, value] : query.parameters) {
    arguments.emplace_back("param_" + name, escape_parameter(value));
  }
  net::ClientRequest ask = request(arguments);
  ask.body = std::move(query.sql);
  ask.timeout = std::chrono::seconds(query.seconds_max) + kQueryLeeway;
  net::ClientRequest again = ask;
  const Duration start = steady_now();
  auto answer = co_await client_.send(std::move(ask));
  // A kept connection may have ended with the engine that was restarted meanwhile.
  if (!answer && seconds_since(start) < 1) answer = co_await client_.send(std::move(again));
  query_seconds_.observe(seconds_since(start));
  if (!answer) co_return fail(std::move(answer).error().in("querying ClickHouse"));
  if (answer->status == 200) co_return std::move(answer->body);
  // Too slow, too large or too busy is for the asker to hear as "later", and so are tables that are
  // not made yet (60, 81): the engine answers before its schema is there.
  constexpr std::array<int, 8> kBusy = {60, 81, 158, 159, 160, 202, 241, 307};
  const int code = exception_code(*answer);
  const bool busy = std::find(kBusy.begin(), kBusy.end(), code) != kBusy.end();
  co_return fail(busy ? Code::unavailable : Code::internal,
                 "querying ClickHouse: " + first_line(answer->body));
}

Task<Result<void>> ClickhouseClient::run(std::string sql) {
  const std::vector<std::pair<std::string, std::string>> arguments = {
      {"database", options_.database}};
  net::ClientRequest ask = request(arguments);
  co_return co_await run_with(std::move(ask), std::move(sql));
}

Task<Result<void>> ClickhouseClient::run_outside(std::string sql) {
  net::ClientRequest ask = request({});
  co_return co_await run_with(std::move(ask), std::move(sql));
}

Task<Result<void>> ClickhouseClient::run_with(net::ClientRequest ask, std::string sql) {
  ask.body = std::move(sql);
  ask.timeout = kSchemaTimeout;
  auto answer = co_await client_.send(std::move(ask));
  if (!answer) co_return fail(std::move(answer).error().in("changing ClickHouse's schema"));
  if (answer->status == 200) co_return Result<void>{};
  co_return fail(Code::internal, "changing ClickHouse's schema: " + first_line(answer->body));
}

Task<InsertOutcome> ClickhouseClient::insert(std::string head, std::string token, std::string rows,
                                             Duration timeout) {
  const std::vector<std::pair<std::string, std::string>> arguments = {
      {"database", options_.database},
      {"query", std::move(head) + " FORMAT RowBinary"},
      {"async_insert", "0"},
      {"insert_deduplication_token", std::move(token)},
  };
  net::ClientRequest ask = request(arguments);
  ask.body = std::move(rows);
  ask.timeout = timeout;
  const Duration start = steady_now();
  const auto answer = co_await client_.send(std::move(ask));
  insert_seconds_.observe(seconds_since(start));
  InsertOutcome outcome;
  if (!answer) {
    outcome.kind = InsertOutcome::Kind::away;
    outcome.message = answer.error().message;
    co_return outcome;
  }
  if (answer->status == 200) co_return outcome;
  const int code = exception_code(*answer);
  const bool refused =
      std::find(kRowsRefused.begin(), kRowsRefused.end(), code) != kRowsRefused.end();
  outcome.kind = refused ? InsertOutcome::Kind::refused : InsertOutcome::Kind::away;
  outcome.message = first_line(answer->body);
  outcome.disk_full = code == kNotEnoughSpace;
  co_return outcome;
}

Task<bool> ClickhouseClient::ping() {
  net::ClientRequest ask;
  ask.url = options_.url + "/ping";
  ask.timeout = kPingTimeout;
  const auto answer = co_await client_.send(std::move(ask));
  co_return answer && answer->status == 200;
}

}  // namespace nimbus::telemetry
