#include "cli/job_follow.h"

#include <doctest/doctest.h>

#include <mutex>

#include "net/net_fixture.h"

using namespace nimbus;
using namespace nimbus::cli;

namespace {

std::string line(int fence, int seq, const std::string& text) {
  const std::string number = std::to_string(seq);
  return net::sse_event("line",
                        "{\"ts\":\"2026-11-24T12:00:00Z\",\"seq\":" + number +
                            ",\"stream\":\"stdout\",\"text\":\"" + text +
                            "\",\"fence\":" + std::to_string(fence) + "}",
                        number);
}

const std::string kEnd =
    net::sse_event("end", R"({"state":"failed","exit_code":7,"last_seq":3,"missing":1})");

// A server whose log of job 5 comes over several connections, each of which plays the next script
// and breaks off.
struct Scripted {
  explicit Scripted(std::vector<std::string> scripts, std::string job)
      : scripts_(std::move(scripts)) {
    net::Router router;
    router.get("/api/v1/jobs/{id}", [job](net::Request&) -> Task<net::Response> {
      co_return net::Response::json(200, job);
    });
    router.get("/api/v1/jobs/{id}/logs", [this](net::Request& request) -> Task<net::Response> {
      asked.emplace_back(*request.find_query("after"));
      const std::string script = next_ < scripts_.size() ? scripts_[next_++] : "";
      if (script == "503") co_return net::problem(503, "the store is away");
      co_return net::Response::streamed("text/event-stream",
                                        [script](net::BodyWriter& writer) -> Task<void> {
                                          (void)co_await writer.write(script);
                                          writer.break_off();
                                        });
    });
    running = std::make_unique<net::RunningServer>(std::move(router));
  }

  std::unique_ptr<net::RunningServer> running;
  std::vector<std::string> asked;  // `after` of each connection; read once the server is done

 private:
  std::vector<std::string> scripts_;
  size_t next_ = 0;
};

struct Followed {
  Result<JobEnd> end = fail(Code::internal, "not run");
  std::string text;
  std::string talk;
};

Followed follow(const Scripted& server) {
  ApiClient api({server.running->url(""), Secret("t"), ""});
  Followed out;
  auto on_line = [&out](const LogLine& line) {
    out.text += line.text + "\n";
    return true;
  };
  auto talk = [&out](const std::string& text) { out.talk += text + "\n"; };
  api.complete([](ApiClient& a, Follow wanted, Followed& into) -> Task<int> {
    into.end = co_await follow_job(a, std::move(wanted));
    co_return 0;
  }(api, Follow{5, 0, on_line, talk}, out));
  return out;
}

JobEnd ended(const std::string& state, std::optional<int64_t> exit_code) {
  JobEnd end;
  end.state = state;
  end.exit_code = exit_code;
  return end;
}

const std::string kFailed = R"({"state":"failed","reason":"exit code 7","exit_code":7,"fence":1})";

}  // namespace

TEST_CASE("a job is followed to its end") {
  Scripted server({line(1, 1, "a") + line(1, 2, "b") + kEnd}, kFailed);
  const Followed followed = follow(server);
  REQUIRE(followed.end.has_value());
  CHECK(followed.text == "a\nb\n");
  CHECK(followed.end->reason == "exit code 7");
  CHECK(followed.end->missing == 1);
  CHECK(exit_status(*followed.end) == 7);
}

TEST_CASE("a stream that breaks is taken up again without a line lost or doubled") {
  Scripted server(
      {line(1, 1, "a") + line(1, 2, "b"), "503", line(1, 2, "b") + line(1, 3, "c") + kEnd},
      kFailed);
  const Followed followed = follow(server);
  CHECK(followed.text == "a\nb\nc\n");
  CHECK(server.asked == std::vector<std::string>{"0", "2", "2"});
  CHECK(followed.talk.find("the store is away; trying again") != std::string::npos);
}

TEST_CASE("a new execution starts its lines anew") {
  Scripted server({line(1, 1, "a") + line(1, 2, "b") +
                   net::sse_event("execution", R"({"fence":2})") + line(2, 1, "a") + kEnd},
                  kFailed);
  const Followed followed = follow(server);
  CHECK(followed.text == "a\nb\na\n");
  CHECK(followed.talk.find("the job is tried again") != std::string::npos);
}

TEST_CASE("an execution that began while the stream was broken is read from its first line") {
  Scripted server({line(1, 1, "a") + line(1, 2, "b"), line(2, 1, "again") + kEnd},
                  R"({"state":"failed","exit_code":7,"fence":2})");
  const Followed followed = follow(server);
  CHECK(followed.text == "a\nb\nagain\n");
  CHECK(server.asked == std::vector<std::string>{"0", "0"});
}

TEST_CASE("a job that has ended is not waited for when its log cannot be read") {
  Scripted server({"503"}, kFailed);
  const Followed followed = follow(server);
  REQUIRE(followed.end.has_value());
  CHECK(followed.end->state == "failed");
  CHECK(followed.talk.find("could not be read") != std::string::npos);
}

TEST_CASE("a job nobody may see is not followed") {
  net::Router router;
  router.get("/api/v1/jobs/{id}", [](net::Request&) -> Task<net::Response> {
    co_return net::problem(404, "no such job");
  });
  Scripted server({}, "{}");
  server.running = std::make_unique<net::RunningServer>(std::move(router));
  CHECK(follow(server).end.error().code == Code::not_found);
}

TEST_CASE("the exit status is the job's own") {
  CHECK(exit_status(ended("succeeded", 0)) == 0);
  CHECK(exit_status(ended("failed", 7)) == 7);
  CHECK(exit_status(ended("failed", std::nullopt)) == 1);
  CHECK(exit_status(ended("failed", 256)) == 1);
  CHECK(exit_status(ended("timed_out", std::nullopt)) == 124);
  CHECK(exit_status(ended("cancelled", std::nullopt)) == 130);
  CHECK(exit_status(ended("lost", std::nullopt)) == 1);
}

TEST_CASE("a job that a signal ended has the exit status that a shell would give") {
  JobEnd end = ended("failed", std::nullopt);
  end.reason = "killed by signal 9 (SIGKILL)";
  CHECK(exit_status(end) == 137);
  end.reason = "killed by signal 34 (signal 34)";
  CHECK(exit_status(end) == 162);
  for (const char* other :
       {"killed by signal 0", "killed by signal 999", "killed by signal x", ""}) {
    end.reason = other;
    CHECK(exit_status(end) == 1);
  }
}

TEST_CASE("a job that ran out of memory has the exit status of a killed command") {
  JobEnd end = ended("failed", std::nullopt);
  end.reason = "out of memory";
  CHECK(exit_status(end) == 137);
  end.exit_code = 3;  // its shell saw the kill and ended by itself
  CHECK(exit_status(end) == 3);
}

TEST_CASE("a line that is not one is refused") {
  CHECK(parse_log_line(R"({"seq":1,"stream":"stdout","text":"x"})").has_value());
  for (const char* text : {"", "{}", R"({"seq":-1,"stream":"stdout","text":"x"})",
                           R"({"seq":1,"stream":1,"text":"x"})"}) {
    CAPTURE(text);
    CHECK(!parse_log_line(text).has_value());
  }
}
