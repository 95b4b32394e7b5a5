// Following a log while it grows.
#include <signal.h>

#include "telemetry/telemetry_fixture.h"

using namespace nimbus;
using namespace nimbus::telemetry;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

// What a follower received.
struct Stream {
  std::vector<net::SseParser::Event> events;
  int status = 0;
  bool ended = false;

  std::vector<int64_t> seqs() const {
    std::vector<int64_t> seqs;
    for (const auto& event : events) {
      if (event.event == "line") seqs.push_back(std::atoll(event.id.c_str()));
    }
    return seqs;
  }
  const net::SseParser::Event* find(std::string_view name) const {
    for (const auto& event : events) {
      if (event.event == name) return &event;
    }
    return nullptr;
  }
};

Task<void> read_stream(net::Client& client, net::ClientRequest request,
                       std::shared_ptr<Stream> stream, std::shared_ptr<net::SseParser> parser) {
  std::function<void(const net::ClientResponse&)> on_head = [stream](const net::ClientResponse& r) {
    stream->status = r.status;
  };
  std::function<bool(std::string_view)> on_bytes = [stream, parser](std::string_view bytes) {
    for (auto& event : parser->feed(bytes)) stream->events.push_back(std::move(event));
    return true;
  };
  co_await client.stream(std::move(request), std::move(on_head), std::move(on_bytes));
  stream->ended = true;
}

struct FollowFixture : TelemetryFixture {
  std::shared_ptr<Stream> follow(int64_t job, std::string query = "", net::Headers headers = {}) {
    net::ClientRequest request;
    request.url = process->url("/api/v1/jobs/" + std::to_string(job) + "/logs?follow=1" + query);
    request.headers = std::move(headers);
    request.headers.add("Authorization", "Bearer " + viewer);
    auto stream = std::make_shared<Stream>();
    auto parser = std::make_shared<net::SseParser>();
    process->loop.spawn(read_stream(*process->client, std::move(request), stream, parser),
                        "follow");
    return stream;
  }
  void finish(int64_t job, int64_t last_seq) {
    jobs.jobs[job].state = model::JobState::succeeded;
    jobs.jobs[job].exit_code = 0;
    jobs.jobs[job].log_last_seq = last_seq;
    process->telemetry->job_changed({job});
  }
};

}  // namespace

TEST_CASE_FIXTURE(FollowFixture, "history and live lines join without loss or repetition") {
  if (!has_engine()) return;
  start_ready();
  jobs.add(12, "acme", "app");
  post_lines(12, lines(1, 7'000));
  start_ready();  // the first lines are known to ClickHouse alone
  post_lines(12, lines(7'001, 7'500));
  const auto stream = follow(12);
  for (int64_t seq = 7'501; seq <= 8'500; seq += 100) post_lines(12, lines(seq, seq + 99));
  REQUIRE(process->wait_until([&] { return stream->seqs().size() >= 8'500; }));
  finish(12, 8'500);
  REQUIRE(process->wait_until([&] { return stream->ended; }));
  CHECK(is_run_of(stream->seqs(), 1, 8'500));
  const auto* end = stream->find("end");
  REQUIRE(end != nullptr);
  CHECK(end->data == "{\"state\":\"succeeded\",\"exit_code\":0,\"last_seq\":8500,\"missing\":0}");
}

TEST_CASE_FIXTURE(FollowFixture, "lines are followed while ClickHouse is away") {
  start(without_engine());
  jobs.add(12, "acme", "app");
  post_lines(12, lines(1, 3));
  const auto stream = follow(12);
  REQUIRE(process->wait_until([&] { return stream->seqs().size() == 3; }));
  post_lines(12, lines(4, 5));
  REQUIRE(process->wait_until([&] { return stream->seqs().size() == 5; }));
  finish(12, 5);
  REQUIRE(process->wait_until([&] { return stream->ended; }));
  CHECK(is_run_of(stream->seqs(), 1, 5));
  // A later life of the process has them from the spool.
  start(without_engine());
  const auto again = follow(12, "&after=2");
  REQUIRE(process->wait_until([&] { return again->ended; }));
  CHECK(again->seqs() == std::vector<int64_t>{3, 4, 5});
  CHECK(again->find("end") != nullptr);
}

TEST_CASE_FIXTURE(FollowFixture, "the engine's death does not break a follower's stream") {
  if (!has_engine()) return;
  start_ready();
  jobs.add(12, "acme", "app");
  post_lines(12, lines(1, 10));
  const auto stream = follow(12);
  REQUIRE(process->wait_until([&] { return stream->seqs().size() == 10; }));
  kill(process->telemetry->engine_pid(), SIGKILL);
  for (int64_t seq = 11; seq <= 100; seq += 10) post_lines(12, lines(seq, seq + 9));
  finish(12, 100);
  REQUIRE(process->wait_until([&] { return stream->ended; }));
  CHECK(is_run_of(stream->seqs(), 1, 100));
}

TEST_CASE_FIXTURE(FollowFixture, "late lines are waited for, and lost ones counted") {
  if (!has_engine()) return;
  start_ready();
  jobs.add(12, "acme", "app");
  const auto stream = follow(12);
  post_lines(12, lines(1, 2) + lines(5, 6));
  post_lines(12, lines(3, 4));
  REQUIRE(process->wait_until([&] { return stream->seqs().size() == 6; }));
  post_lines(12, lines(9, 10));  // 7 and 8 never come
  finish(12, 10);
  REQUIRE(process->wait_until([&] { return stream->ended; }));
  CHECK(stream->seqs() == std::vector<int64_t>{1, 2, 3, 4, 5, 6, 9, 10});
  CHECK(stream->find("end")->data.find("\"missing\":2") != std::string::npos);
}

TEST_CASE_FIXTURE(FollowFixture, "a requeued job's next execution follows the one before") {
  if (!has_engine()) return;
  start_ready();
  jobs.add(12, "acme", "app");
  const auto stream = follow(12);
  post_lines(12, lines(1, 3), 1);
  REQUIRE(process->wait_until([&] { return stream->seqs().size() == 3; }));
  jobs.jobs[12].fence = {2};
  process->telemetry->job_changed({12});
  post_lines(12, lines(1, 2), 2);
  finish(12, 2);
  REQUIRE(process->wait_until([&] { return stream->ended; }));
  CHECK(stream->seqs() == std::vector<int64_t>{1, 2, 3, 1, 2});
  const auto* execution = stream->find("execution");
  REQUIRE(execution != nullptr);
  CHECK(execution->data == "{\"fence\":2}");
}

TEST_CASE_FIXTURE(FollowFixture, "a reader that comes back goes on after the last event it has") {
  if (!has_engine()) return;
  start_ready();
  jobs.add(12, "acme", "app");
  post_lines(12, lines(1, 9));
  finish(12, 9);
  const auto stream = follow(12, "", {{"Last-Event-ID", "6"}});
  REQUIRE(process->wait_until([&] { return stream->ended; }));
  CHECK(stream->seqs() == std::vector<int64_t>{7, 8, 9});
}

TEST_CASE_FIXTURE(FollowFixture, "a job that ended before it ran ends the stream at once") {
  start(without_engine());
  jobs.add(12, "acme", "app", 0, model::JobState::cancelled);
  const auto stream = follow(12);
  REQUIRE(process->wait_until([&] { return stream->ended; }));
  CHECK(stream->status == 200);
  CHECK(stream->find("end")->data ==
        "{\"state\":\"cancelled\",\"exit_code\":null,\"last_seq\":0,\"missing\":0}");
}

TEST_CASE_FIXTURE(FollowFixture, "a stream ends when its token is revoked") {
  start(without_engine());
  jobs.add(12, "acme", "app");
  post_lines(12, lines(1, 1));
  const auto stream = follow(12);
  REQUIRE(process->wait_until([&] { return stream->seqs().size() == 1; }));
  jobs.viewers.erase("Bearer " + viewer);
  process->telemetry->job_changed({12});
  REQUIRE(process->wait_until([&] { return stream->ended; }));
  CHECK(stream->find("end") == nullptr);
}
