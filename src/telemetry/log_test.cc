// Lines over HTTP with the real engine: storing, reading, isolation, search, crashes.
#include <signal.h>
#include <sys/mount.h>

#include "telemetry/telemetry_fixture.h"

using namespace nimbus;
using namespace nimbus::telemetry;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_CASE_FIXTURE(TelemetryFixture, "lines sent again, whole or in other pieces, are stored once") {
  if (!has_engine()) return;
  start_ready();
  jobs.add(12, "acme", "app");
  CHECK(post_lines(12, lines(1, 10)).body == "{\"acked\":10}");
  CHECK(post_lines(12, lines(1, 10)).body == "{\"acked\":10}");
  CHECK(post_lines(12, lines(5, 15)).body == "{\"acked\":15}");
  CHECK(is_run_of(seqs_of(get_lines(12).body), 1, 15));
  // Also by another life of the process, which has to ask ClickHouse what is there.
  start_ready();
  CHECK(post_lines(12, lines(8, 20)).body == "{\"acked\":20}");
  CHECK(is_run_of(seqs_of(get_lines(12).body), 1, 20));
  const auto verified = process->send("GET", "/api/v1/jobs/12/logs/verify", viewer);
  CHECK(verified.status == 200);
  CHECK(verified.body.find("\"lines\":20,\"last_seq\":20") != std::string::npos);
  CHECK(verified.body.find("\"missing\":0,\"gaps\":[]") != std::string::npos);
}

TEST_CASE_FIXTURE(TelemetryFixture, "missing lines show in verify, and late ones fill the gap") {
  if (!has_engine()) return;
  start_ready();
  jobs.add(12, "acme", "app").log_last_seq = 12;
  post_lines(12, lines(1, 2) + lines(5, 6));
  post_lines(12, lines(9, 10));
  auto verified = process->send("GET", "/api/v1/jobs/12/logs/verify", viewer).body;
  CHECK(verified.find("\"missing\":6,\"gaps\":[[3,4],[7,8],[11,12]]") != std::string::npos);
  post_lines(12, lines(3, 4));
  verified = process->send("GET", "/api/v1/jobs/12/logs/verify", viewer).body;
  CHECK(verified.find("\"missing\":4,\"gaps\":[[7,8],[11,12]]") != std::string::npos);
  CHECK(seqs_of(get_lines(12).body) == std::vector<int64_t>{1, 2, 3, 4, 5, 6, 9, 10});
}

TEST_CASE_FIXTURE(TelemetryFixture, "an older execution is refused once a later one has written") {
  if (!has_engine()) return;
  start_ready();
  jobs.add(12, "acme", "app", 2);
  CHECK(post_lines(12, lines(1, 2), 1).status == 200);
  CHECK(post_lines(12, lines(1, 3), 2).status == 200);
  auto stale = post_lines(12, lines(3, 4), 1);
  CHECK(stale.status == 409);
  CHECK(stale.body.find("\"code\":\"stale-fence\"") != std::string::npos);
  start_ready();
  CHECK(post_lines(12, lines(3, 4), 1).status == 409);
  CHECK(seqs_of(get_lines(12).body) == std::vector<int64_t>{1, 2, 3});
  CHECK(seqs_of(get_lines(12, "?fence=1").body) == std::vector<int64_t>{1, 2});
}

TEST_CASE_FIXTURE(TelemetryFixture,
                  "a log is written by its job's token alone and read by its org alone") {
  if (!has_engine()) return;
  start_ready();
  jobs.add(12, "acme", "app");
  jobs.add(13, "globex", "app");
  CHECK(post_lines(12, lines(1, 2)).status == 200);
  const std::string path = "/api/v1/jobs/12/logs";
  CHECK(process->send("POST", path, "", lines(1, 1)).status == 401);
  CHECK(process->send("POST", path, viewer, lines(1, 1)).status == 403);
  CHECK(process->send("POST", path, job_token(13, 1, "globex"), lines(1, 1)).status == 404);
  CHECK(process->send("GET", path, "").status == 401);
  CHECK(process->send("GET", path, job_token(12)).status == 403);
  for (const char* tail : {"", "?follow=1", "/verify"}) {
    const auto foreign_answer = process->send("GET", path + tail, foreign);
    const auto absent = process->send("GET", "/api/v1/jobs/99/logs" + std::string(tail), foreign);
    CHECK(foreign_answer.status == 404);
    CHECK(foreign_answer.body == absent.body);
  }
  CHECK(process->send("GET", path, admin).status == 200);
}

TEST_CASE_FIXTURE(TelemetryFixture,
                  "search finds text, level and time, in the caller's org alone") {
  if (!has_engine()) return;
  start_ready();
  post_lines(12,
             line(1, "building") + line(2, "ERROR: No such file 100%") + line(3, "[warn] slow"));
  CHECK(process
            ->send("POST", "/api/v1/jobs/13/logs", job_token(13, 1, "globex"),
                   line(1, "ERROR: their secret"))
            .status == 200);
  const auto search = [this](const std::string& query, const std::string& token) {
    return process->send("GET", "/api/v1/logs?" + query, token);
  };
  CHECK(search("q=no%20SUCH", viewer).body.find("No such file 100%") != std::string::npos);
  CHECK(search("level=error", viewer).body.find("secret") == std::string::npos);
  CHECK(search("level=error", foreign).body.find("secret") != std::string::npos);
  CHECK(search("level=error", admin).body.find("secret") != std::string::npos);
  CHECK(search("org=globex", viewer).body == "{\"items\":[],\"next_cursor\":null}");
  CHECK(search("level=warn", viewer).body.find("\"seq\":3") != std::string::npos);
  CHECK(search("q=%25", viewer).body.find("\"seq\":2") != std::string::npos);
  CHECK(search("q='%20OR%201=1%20--", viewer).body == "{\"items\":[],\"next_cursor\":null}");
  CHECK(search("repo=other", viewer).body == "{\"items\":[],\"next_cursor\":null}");
  CHECK(search("job=12&until=2023-11-14T22:13:20Z", viewer).body ==
        "{\"items\":[],\"next_cursor\":null}");
  CHECK(search("level=loud", viewer).status == 400);
  CHECK(search("limit=0", viewer).status == 400);
  CHECK(search("cursor=zz", viewer).status == 400);
  // Pages, newest first, without loss or repetition.
  std::vector<int64_t> seen;
  std::string cursor;
  for (int page = 0; page < 5; ++page) {
    const auto answer = search("limit=2" + cursor, viewer).body;
    for (const int64_t seq : seqs_of(answer)) seen.push_back(seq);
    const size_t at = answer.find("\"next_cursor\":\"");
    if (at == std::string::npos) break;
    cursor = "&cursor=" + answer.substr(at + 15, 32);
  }
  CHECK(seen == std::vector<int64_t>{3, 2, 1});
}

TEST_CASE_FIXTURE(TelemetryFixture,
                  "lines are accepted while ClickHouse is away and stored once it is there") {
  if (!has_engine()) return;
  start(without_engine());
  jobs.add(12, "acme", "app");
  CHECK(post_lines(12, lines(1, 5)).body == "{\"acked\":5}");
  CHECK(post_lines(12, lines(4, 8)).body == "{\"acked\":8}");
  CHECK(process->telemetry->health().status == TelemetryHealth::Status::unavailable);
  CHECK(process->telemetry->health().detail.find("libchdb is not at") != std::string::npos);
  // What is spooled can be read, also by the next life.
  CHECK(is_run_of(seqs_of(get_lines(12).body), 1, 8));
  start(without_engine());
  CHECK(is_run_of(seqs_of(get_lines(12).body), 1, 8));
  CHECK(post_lines(12, lines(9, 9)).status == 200);
  CHECK(process->send("GET", "/api/v1/logs?q=line", viewer).status == 503);
  start_ready();
  REQUIRE(process->wait_until([this] {
    return process->metrics.expose().find("nimbus_log_spool_bytes 0\n") != std::string::npos;
  }));
  CHECK(is_run_of(seqs_of(get_lines(12).body), 1, 9));
  const auto found = process->send("GET", "/api/v1/logs?q=line&limit=100", viewer).body;
  CHECK(seqs_of(found).size() == 9);
}

TEST_CASE_FIXTURE(TelemetryFixture, "a full spool refuses lines instead of losing them") {
  if (!has_engine()) return;
  TelemetryOptions small = without_engine();
  small.spool_bytes_max = 20'000;
  start(small);
  jobs.add(12, "acme", "app");
  int64_t acked = 0;
  net::ClientResponse refused;
  for (int64_t seq = 1; seq <= 400; seq += 10) {
    const auto answer = post_lines(12, lines(seq, seq + 9));
    if (answer.status != 200) {
      refused = answer;
      break;
    }
    acked = seq + 9;
  }
  CHECK(refused.status == 503);
  CHECK(refused.headers.find("Retry-After").has_value());
  CHECK(acked > 0);
  CHECK(is_run_of(seqs_of(get_lines(12).body), 1, acked));
  start_ready();
  CHECK(post_lines(12, lines(acked + 1, acked + 10)).status == 200);
  REQUIRE(process->wait_until([&] {
    return process->metrics.expose().find("nimbus_log_spool_bytes 0\n") != std::string::npos;
  }));
  CHECK(is_run_of(seqs_of(get_lines(12).body), 1, acked + 10));
}

TEST_CASE_FIXTURE(TelemetryFixture,
                  "killing the engine in the middle of inserts loses and doubles nothing") {
  if (!has_engine()) return;
  start_ready();
  jobs.add(12, "acme", "app");
  int64_t next = 1;
  for (int round = 0; round < 3; ++round) {
    for (int batch = 0; batch < 10; ++batch) {
      // The kill falls while the batch is on its way.
      if (batch == 5) kill(process->telemetry->engine_pid(), SIGKILL);
      const auto answer = post_lines(12, lines(next, next + 99));
      REQUIRE(answer.status == 200);
      next += 100;
    }
    REQUIRE(process->wait_ready());
  }
  REQUIRE(process->wait_until([this] {
    return process->metrics.expose().find("nimbus_log_spool_bytes 0\n") != std::string::npos;
  }));
  CHECK(is_run_of(seqs_of(get_lines(12).body), 1, next - 1));
  const auto text = process->metrics.expose();
  CHECK(text.find("nimbus_log_rows_dropped_total{table=\"job_logs\"} 0") != std::string::npos);
  CHECK(text.find("nimbus_log_rows_total{table=\"job_logs\"} 3000") != std::string::npos);
}

TEST_CASE_FIXTURE(TelemetryFixture,
                  "a process that dies at any moment keeps every acknowledged line") {
  if (!has_engine()) return;
  jobs.add(12, "acme", "app");
  int64_t acked = 0;
  for (int life = 0; life < 4; ++life) {
    // Every other life ends before its engine was ready.
    if (life % 2 == 0)
      start_ready();
    else
      start();
    for (int batch = 0; batch < 3; ++batch) {
      REQUIRE(post_lines(12, lines(acked + 1, acked + 10)).status == 200);
      acked += 10;
    }
    // What was sent and not acknowledged may be there or not, and is sent again by the next life.
    net::ClientRequest lost;
    lost.method = "POST";
    lost.url = process->url("/api/v1/jobs/12/logs");
    lost.headers.add("Authorization", "Bearer " + job_token(12));
    lost.body = lines(acked + 1, acked + 10);
    Process& dying = *process;
    auto sending = [](net::Client& client, net::ClientRequest request) -> Task<void> {
      co_await client.send(std::move(request));
    };
    dying.loop.spawn(sending(*dying.client, std::move(lost)), "lost");
    dying.wait_until([] { return true; });
  }
  start_ready();
  REQUIRE(post_lines(12, lines(acked + 1, acked + 10)).status == 200);
  CHECK(is_run_of(seqs_of(get_lines(12).body), 1, acked + 10));
}

TEST_CASE_FIXTURE(TelemetryFixture, "bodies that are not lines are refused and name the line") {
  start(without_engine());
  jobs.add(12, "acme", "app");
  const auto refusal = [this](std::string body) { return post_lines(12, std::move(body)); };
  CHECK(refusal("[]\n").status == 400);
  CHECK(refusal(line(1) + "{\"seq\":2}\n").body.find("line 2 of the body") != std::string::npos);
  CHECK(refusal("{\"ts\":1,\"seq\":0,\"stream\":\"stdout\",\"text\":\"\"}").status == 400);
  CHECK(refusal("{\"ts\":1,\"seq\":1,\"stream\":\"stdlog\",\"text\":\"\"}").status == 400);
  CHECK(refusal("{\"ts\":-1,\"seq\":1,\"stream\":\"stdout\",\"text\":\"\"}").status == 400);
  CHECK(refusal("{\"ts\":1,\"seq\":1,\"stream\":\"stdout\",\"text\":\"\xff\"}").status == 400);
  CHECK(refusal("{\"ts\":1,\"seq\":1,\"stream\":\"stdout\",\"text\":\"\"} x").status == 400);
  CHECK(refusal(line(1, std::string(65'537, 'x'))).status == 413);
  CHECK(refusal(line(1, std::string(65'536, 'x'))).status == 200);
  CHECK(refusal("\n\n").body == "{\"acked\":1}");
}

TEST_CASE_FIXTURE(TelemetryFixture, "200,000 lines come back in order") {
  if (!has_engine()) return;
  start_ready();
  jobs.add(12, "acme", "app");
  constexpr int64_t kLines = 200'000;
  constexpr int64_t kBatch = 10'000;
  for (int64_t seq = 1; seq <= kLines; seq += kBatch) {
    REQUIRE(post_lines(12, lines(seq, seq + kBatch - 1)).status == 200);
  }
  CHECK(is_run_of(seqs_of(get_lines(12).body), 1, kLines));
}

TEST_CASE_FIXTURE(TelemetryFixture,
                  "an engine that stalls holds up no line, and its late insert doubles none") {
  if (!has_engine()) return;
  start_ready();
  jobs.add(12, "acme", "app");
  const pid_t stuck = process->telemetry->engine_pid();
  // A stopped process keeps its socket: whoever connects waits in vain.
  kill(stuck, SIGSTOP);
  CHECK(post_lines(12, lines(1, 5)).status == 200);
  CHECK(is_run_of(seqs_of(get_lines(12).body), 1, 5));
  kill(stuck, SIGCONT);
  REQUIRE(process->wait_ready());
  CHECK(post_lines(12, lines(6, 9)).status == 200);
  REQUIRE(process->wait_until([this] {
    return process->metrics.expose().find("nimbus_log_spool_bytes 0\n") != std::string::npos;
  }));
  CHECK(is_run_of(seqs_of(get_lines(12).body), 1, 9));
}

TEST_CASE_FIXTURE(TelemetryFixture,
                  "search reaches back as far as there are lines, and ahead of the clock") {
  if (!has_engine()) return;
  start_ready();
  const int64_t now_ns = to_us(access.clock.now()) * 1000;
  constexpr int64_t kDay = int64_t{86'400} * 1'000'000'000;
  std::string body;
  int64_t seq = 0;
  for (const int64_t ts :
       {int64_t{5}, now_ns - 400 * kDay, now_ns - 3 * kDay, now_ns, now_ns + kDay}) {
    body += "{\"ts\":" + std::to_string(ts) + ",\"seq\":" + std::to_string(++seq) +
            ",\"stream\":\"stdout\",\"text\":\"x\"}\n";
  }
  CHECK(post_lines(12, body).status == 200);
  const auto seqs = [this](const std::string& query) {
    return seqs_of(process->send("GET", "/api/v1/logs?" + query, viewer).body);
  };
  CHECK(seqs("limit=1") == std::vector<int64_t>{5});
  CHECK(seqs("limit=3") == std::vector<int64_t>{5, 4, 3});
  CHECK(seqs("limit=100") == std::vector<int64_t>{5, 4, 3, 2, 1});
  CHECK(seqs("limit=1&until=2023-11-01T00:00:00Z") == std::vector<int64_t>{2});
  CHECK(seqs("since=2023-11-10T00:00:00Z&until=2023-11-14T22:13:20Z") == std::vector<int64_t>{3});
}

TEST_CASE_FIXTURE(TelemetryFixture,
                  "a full disk refuses lines clearly, and heals once there is space") {
  const std::string small = dir + "/telemetry";
  std::filesystem::create_directory(small);
  if (mount("tmpfs", small.c_str(), "tmpfs", 0, "size=64k") != 0) {
    MESSAGE("skipped: mounting a small disk needs root");
    return;
  }
  const std::shared_ptr<const char> mounted(small.c_str(),
                                            [](const char* path) { umount2(path, MNT_DETACH); });
  start(without_engine());
  jobs.add(12, "acme", "app");
  int64_t acked = 0;
  net::ClientResponse refused;
  while (refused.status == 0 && acked < 10'000) {
    const auto answer = post_lines(12, lines(acked + 1, acked + 100));
    if (answer.status == 200)
      acked += 100;
    else
      refused = answer;
  }
  CHECK(refused.status == 507);
  CHECK(refused.body.find("free some disk space") != std::string::npos);
  CHECK(is_run_of(seqs_of(get_lines(12).body), 1, acked));
  REQUIRE(mount("tmpfs", small.c_str(), "tmpfs", MS_REMOUNT, "size=1m") == 0);
  CHECK(post_lines(12, lines(acked + 1, acked + 100)).status == 200);
  // Nothing half-written is left behind.
  start(without_engine());
  CHECK(is_run_of(seqs_of(get_lines(12).body), 1, acked + 100));
  CHECK(process->metrics.expose().find("nimbus_log_spool_spoiled_total 0\n") != std::string::npos);
}
