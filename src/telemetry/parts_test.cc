// The parts of telemetry that need no engine.
#include <zlib.h>

#include <boost/json.hpp>
#include <fstream>
#include <sstream>

#include "telemetry/clickhouse_client.h"
#include "telemetry/gunzip.h"
#include "telemetry/line_json.h"
#include "telemetry/log_lines.h"
#include "telemetry/schema.h"
#include "telemetry/seq_set.h"
#include "telemetry/spool.h"
#include "telemetry/statement.h"
#include "telemetry/telemetry_fixture.h"

using namespace nimbus;
using namespace nimbus::telemetry;

namespace {

using Ranges = std::vector<SeqSet::Range>;

Block block_of(std::string token, std::string data) {
  Block block;
  block.table = Table::otel_logs;
  block.rows = 1;
  block.token = std::move(token);
  block.data = std::move(data);
  return block;
}

struct SpoolFixture {
  std::string dir = [] {
    std::string pattern = (std::filesystem::temp_directory_path() / "nimbus-spool-XXXXXX").string();
    return std::string(mkdtemp(pattern.data()));
  }();
  ~SpoolFixture() { std::filesystem::remove_all(dir); }

  Spool open(uint64_t bytes_max = 1 << 20) {
    auto spool = Spool::open(dir, bytes_max);
    REQUIRE(spool.has_value());
    return std::move(*spool);
  }
  std::string only_file() const {
    for (const auto& entry : std::filesystem::directory_iterator(dir)) {
      if (entry.is_regular_file()) return entry.path();
    }
    return {};
  }
  static std::vector<std::string> tokens(const Spool& spool, uint64_t* spoiled = nullptr) {
    std::vector<std::string> found;
    for (const uint64_t segment : spool.sealed()) {
      const auto read = spool.read(
          segment, [&](SpoolPlace, Block block) { found.push_back(std::move(block.token)); });
      REQUIRE(read.has_value());
      if (spoiled != nullptr) *spoiled += *read;
    }
    return found;
  }
};

Result<EngineStatement> statement(std::vector<std::pair<std::string, std::string>> arguments,
                                  std::string_view body = "") {
  return parse_statement(arguments, body);
}

}  // namespace

TEST_CASE("a set of seqs joins what touches and knows its gaps") {
  SeqSet set;
  CHECK(set.add(1, 3));
  CHECK(set.add(7, 9));
  CHECK(set.add(5, 5));
  CHECK(set.ranges() == Ranges{{1, 3}, {5, 5}, {7, 9}});
  CHECK(set.gaps(12) == Ranges{{4, 4}, {6, 6}, {10, 12}});
  CHECK(set.add(4, 6));
  CHECK(set.ranges() == Ranges{{1, 9}});
  CHECK(set.contains_all(2, 9));
  CHECK(!set.contains_all(2, 10));
  set.remove(3, 4);
  CHECK(set.ranges() == Ranges{{1, 2}, {5, 9}});
  CHECK(set.add(1, 20));
  CHECK(set.count() == 20);
  CHECK(SeqSet().gaps(2) == Ranges{{1, 2}});
}

TEST_CASE("a set of seqs refuses more ranges than its bound") {
  SeqSet set;
  for (size_t i = 0; i < SeqSet::kRangesMax; ++i) {
    REQUIRE(set.add(static_cast<int64_t>(2 * i + 1), static_cast<int64_t>(2 * i + 1)));
  }
  CHECK(!set.add(1'000'001, 1'000'001));
  CHECK(set.add(2, 2));  // joins two
}

TEST_CASE_FIXTURE(SpoolFixture, "blocks come back from the spool in order, after a restart too") {
  {
    Spool spool = open();
    REQUIRE(
        spool.append({block_of("a", "one"), block_of("b", std::string("\0\n", 2))}).has_value());
    REQUIRE(spool.append({block_of("c", "three")}).has_value());
    CHECK(spool.sealed().empty());
  }
  Spool spool = open();
  CHECK(tokens(spool) == std::vector<std::string>{"a", "b", "c"});
  const auto places = spool.append({block_of("d", "four")});
  REQUIRE(places.has_value());
  CHECK(spool.read_at(places->front())->data == "four");
  CHECK(spool.sealed().size() == 1);
  REQUIRE(spool.remove(spool.sealed().front()).has_value());
  spool.seal();
  CHECK(tokens(spool) == std::vector<std::string>{"d"});
}

TEST_CASE_FIXTURE(SpoolFixture,
                  "a frame that a crash cut short is left out, the ones before it kept") {
  {
    REQUIRE(open().append({block_of("a", "one"), block_of("b", "two")}).has_value());
  }
  std::filesystem::resize_file(only_file(), std::filesystem::file_size(only_file()) - 1);
  uint64_t spoiled = 0;
  CHECK(tokens(open(), &spoiled) == std::vector<std::string>{"a"});
  CHECK(spoiled == 1);
}

TEST_CASE_FIXTURE(SpoolFixture, "a flipped bit costs its own frame and no other") {
  {
    REQUIRE(open()
                .append({block_of("a", "one"), block_of("b", "two"), block_of("c", "three")})
                .has_value());
  }
  std::string bytes;
  {
    std::ifstream file(only_file(), std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(file), {});
  }
  const size_t frame = bytes.size() / 3;
  for (const size_t at : {frame + 4, frame + 20}) {  // in the head, in the payload
    std::string flipped = bytes;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
    std::ofstream(only_file(), std::ios::binary) << flipped;
    uint64_t spoiled = 0;
    CHECK(tokens(open(), &spoiled) == std::vector<std::string>{"a", "c"});
    CHECK(spoiled == 1);
  }
}

TEST_CASE_FIXTURE(SpoolFixture, "the spool keeps its bound") {
  Spool spool = open(200);
  CHECK(spool.append({block_of("a", std::string(100, 'x'))}).has_value());
  const auto refused = spool.append({block_of("b", std::string(100, 'x'))});
  REQUIRE(!refused.has_value());
  CHECK(refused.error().code == Code::too_large);
  spool.seal();
  CHECK(tokens(spool) == std::vector<std::string>{"a"});
}

TEST_CASE("the engine's front takes Nimbus's statements and no others") {
  const auto read = statement({{"database", "nimbus"},
                               {"param_org", "a'b"},
                               {"readonly", "2"},
                               {"default_format", "RowBinary"}},
                              "SELECT {org:String}");
  REQUIRE(read.has_value());
  CHECK(read->sql == "SELECT {org:String} SETTINGS readonly=2");
  CHECK(read->format == "RowBinary");
  CHECK(read->parameters.front().second == "a'b");

  const auto insert = statement({{"query", "INSERT INTO t (a) FORMAT RowBinary"},
                                 {"insert_deduplication_token", "ab-1.ab-2"}},
                                "; DROP TABLE t");
  REQUIRE(insert.has_value());
  CHECK(insert_from(*insert, "/proc/self/fd/9") ==
        "INSERT INTO t (a) FROM INFILE '/proc/self/fd/9' COMPRESSION 'none' SETTINGS "
        "insert_deduplication_token='ab-1.ab-2' FORMAT RowBinary");

  CHECK(!statement({{"query", "INSERT INTO t VALUES (1)"}}).has_value());
  CHECK(!statement({{"query", "SELECT 1"}, {"max_threads", "1, readonly = 0"}}).has_value());
  CHECK(!statement({{"query", "SELECT 1"}, {"allow_ddl", "1"}}).has_value());
  CHECK(!statement({{"query", "SELECT 1"}, {"default_format", "CSV SETTINGS x=1"}}).has_value());
  CHECK(!statement({{"readonly", "1"}}, "DROP TABLE t").has_value());
  CHECK(!statement({}).has_value());
}

TEST_CASE("parameters survive ClickHouse's escaping") {
  CHECK(escape_parameter("a\\b\tc\nd\r'\"") == "a\\\\b\\tc\\nd\\r'\"");
  CHECK(escape_parameter(std::string_view("\0", 1)) == "\\0");
}

TEST_CASE("times keep their nanoseconds and strings their bytes") {
  std::string text;
  append_time(text, 1'700'000'000'120'000'000);
  text += ' ';
  append_time(text, 0);
  CHECK(text == "2023-11-14T22:13:20.12Z 1970-01-01T00:00:00Z");
  std::string quoted;
  append_json_text(quoted, "a\"b\\c\n\x01\x1b[31m\u00e9");
  CHECK(quoted == "\"a\\\"b\\\\c\\n\\u0001\\u001b[31m\u00e9\"");
}

TEST_CASE("a line's level is what it says of itself at its start") {
  CHECK(level_of("::error::it broke") == "error");
  CHECK(level_of("2026-11-24 ERROR it broke") == "error");
  CHECK(level_of("[warn] slow") == "warn");
  CHECK(level_of("{\"level\":\"debug\",\"msg\":\"x\"}") == "debug");
  CHECK(level_of("Warning: deprecated") == "warn");
  CHECK(level_of("no error was found") == "info");
  CHECK(level_of("FATAL") == "error");
  CHECK(level_of("") == "info");
  CHECK(level_of(std::string(100, ' ') + "ERROR") == "info");
}

TEST_CASE("lines are ordered by seq, and the first of two with one seq wins") {
  std::string body = TelemetryFixture::line(3, "c") + TelemetryFixture::line(1, "a") + "\r\n" +
                     TelemetryFixture::line(3, "again") +
                     R"({"text":"b","seq":2,"stream":"system","ts":5,"partial":true,"more":[{}]})";
  const auto lines = parse_log_lines(body);
  REQUIRE(lines.has_value());
  REQUIRE(lines->size() == 3);
  CHECK((*lines)[1].text == "b");
  CHECK((*lines)[1].partial);
  CHECK((*lines)[1].stream == model::LogStream::system);
  CHECK((*lines)[2].text == "c");
}

TEST_CASE("gzip of several members is one text, and its bound holds") {
  const auto zip = [](std::string_view text) {
    z_stream stream{};
    deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    std::string out(deflateBound(&stream, text.size()), '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    deflate(&stream, Z_FINISH);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
  };
  CHECK(*gunzip(zip("ab") + zip("") + zip("cd"), 4) == "abcd");
  CHECK(gunzip(zip("abcde"), 4).error().code == Code::too_large);
  CHECK(gunzip(zip("ab") + "x", 4).error().code == Code::bad_request);
  CHECK(gunzip("", 4).error().code == Code::bad_request);
}

TEST_CASE("docs/CLICKHOUSE_SCHEMA.md is what the migrations say") {
  const std::string path = std::string(NIMBUS_SOURCE_DIR) + "/docs/CLICKHOUSE_SCHEMA.md";
  if (std::getenv("NIMBUS_UPDATE_DOCS") != nullptr) std::ofstream(path) << schema_document();
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  CHECK(text.str() == schema_document());
}

TEST_CASE("migrations are numbered from 1 without gaps") {
  int number = 0;
  for (const SchemaMigration& migration : schema_migrations()) CHECK(migration.number == ++number);
}

namespace {

Task<net::Response> fake_control(net::Request& request) {
  const bool known = request.bearer() == "mine" || request.cookie("nimbus_session") == "mine";
  if (!known) co_return net::problem(401, "who?");
  if (request.parameter("id") != "12") co_return net::problem(404, "no such job");
  co_return net::Response::json(200,
                                R"({"id":12,"org":"acme","repo":"app","state":"failed","fence":2,
    "exit_code":7,"log":{"last_seq":40},"labels":["x"]})");
}

}  // namespace

TEST_CASE("jobs are asked for at control, with the caller's own credential") {
  net::Loop loop(1);
  net::Router router;
  router.get("/api/v1/jobs/{id}", [](net::Request& request) { return fake_control(request); });
  auto server = net::Server::listen(loop, std::move(router), {});
  REQUIRE(server.has_value());
  const auto lookup =
      make_http_job_lookup(loop, "http://127.0.0.1:" + std::to_string((*server)->port()) + "/");
  const auto ask = [&](int64_t id, ForwardedCredential credential) {
    std::optional<Result<JobView>> outcome;
    auto run = [](JobLookup& jobs, int64_t job, ForwardedCredential given, net::Loop& on,
                  std::optional<Result<JobView>>& out) -> Task<void> {
      out.emplace(co_await jobs.find({job}, given));
      on.stop();
    };
    loop.spawn(run(*lookup, id, std::move(credential), loop, outcome), "ask");
    loop.run();
    return std::move(*outcome);
  };
  const auto job = ask(12, {"Bearer mine", ""});
  REQUIRE(job.has_value());
  CHECK(job->state == model::JobState::failed);
  CHECK(job->fence.value == 2);
  CHECK(job->exit_code == 7);
  CHECK(job->log_last_seq == 40);
  CHECK(ask(12, {"", "nimbus_session=mine"}).has_value());
  CHECK(ask(13, {"Bearer mine", ""}).error().code == Code::not_found);
  CHECK(ask(12, {"Bearer other", ""}).error().code == Code::unauthenticated);
}
