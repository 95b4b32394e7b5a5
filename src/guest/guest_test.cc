#include <doctest/doctest.h>

#include "guest/accounts.h"
#include "guest/http.h"
#include "guest/job.h"

using namespace nimbus;
using namespace nimbus::guest;

namespace {

int exit_status(int code) { return code << 8; }

Result<Answer> parse(std::string_view bytes) {
  AnswerParser parser;
  const bool done = TRY(parser.feed(bytes));
  if (!done) return fail(Code::unavailable, "incomplete");
  return parser.take();
}

}  // namespace

TEST_CASE("an answer is the same however its bytes are cut") {
  const std::string bytes =
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nRetry-After: 2\r\nConnection: close\r\n\r\nhello";
  AnswerParser parser;
  for (size_t i = 0; i + 1 < bytes.size(); ++i) {
    const auto done = parser.feed(std::string_view(bytes).substr(i, 1));
    REQUIRE(done);
    CHECK_FALSE(*done);
  }
  REQUIRE(parser.feed("o").value());
  const Answer answer = parser.take();
  CHECK_EQ(answer.status, 200);
  CHECK_EQ(answer.body, "hello");
  CHECK_EQ(answer.retry_after_s, 2);
  CHECK_FALSE(answer.keep_alive);
}

TEST_CASE("an answer without content needs no length") {
  CHECK_EQ(parse("HTTP/1.1 204 No Content\r\n\r\n").value().status, 204);
}

TEST_CASE("answers that are not what the gateway sends are refused") {
  CHECK_FALSE(parse("SSH-2.0-x\r\n\r\n"));
  CHECK_FALSE(parse("HTTP/1.1 200 OK\r\n\r\n"));
  CHECK_FALSE(parse("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
  CHECK_FALSE(parse("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"));
  CHECK_FALSE(parse("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"));
  CHECK_FALSE(parse("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"));
  CHECK_FALSE(parse("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy"));
  AnswerParser parser;
  CHECK_FALSE(parser.feed(std::string(kAnswerHeadBytesMax + 1, 'x')));
}

TEST_CASE("a job is read with its defaults") {
  const auto job = parse_job(
      R"({"job":12,"fence":3,"command":["a","b"],"env":{"K":"v"},"timeout_s":9,"entropy":"AQID"})");
  REQUIRE(job);
  CHECK_EQ(job->command, std::vector<std::string>{"a", "b"});
  CHECK_EQ(job->user, "runner");
  CHECK_EQ(job->workdir, "/home/runner/work");
  CHECK_EQ(job->timeout.count(), 9);
  CHECK_EQ(job->entropy, "\x01\x02\x03");
}

TEST_CASE("a job that could not be started is refused") {
  CHECK_FALSE(parse_job("not json"));
  CHECK_FALSE(parse_job(R"({"job":1,"fence":1,"command":[],"timeout_s":1})"));
  CHECK_FALSE(parse_job(R"({"job":1,"fence":1,"command":["a\u0000b"],"timeout_s":1})"));
  CHECK_FALSE(parse_job(R"({"job":1,"fence":1,"command":["a"],"env":{"A=B":"c"},"timeout_s":1})"));
  CHECK_FALSE(parse_job(R"({"job":1,"fence":1,"command":["a"],"timeout_s":0})"));
}

TEST_CASE("a signal of a later version is passed over") {
  CHECK_EQ(parse_signal(R"({"signal":"cancel","grace_s":7})").value()->grace.count(), 7);
  CHECK_FALSE(parse_signal(R"({"signal":"dance"})").value());
  CHECK_FALSE(parse_signal("{}"));
}

TEST_CASE("each ending has its result and its reason") {
  Ending ending;
  const auto reason = [&] { return classify(ending).reason; };
  ending.wait_status = exit_status(0);
  CHECK(classify(ending).result == model::JobResult::succeeded);
  CHECK_EQ(reason(), "");
  ending.wait_status = exit_status(7);
  CHECK(classify(ending).result == model::JobResult::failed);
  CHECK_EQ(classify(ending).exit_code, 7);
  CHECK_EQ(reason(), "exit code 7");
  ending.wait_status = 9;
  CHECK_EQ(reason(), "killed by signal 9 (SIGKILL)");
  CHECK_FALSE(classify(ending).exit_code);
  ending.disk_full = true;
  CHECK_EQ(reason(), "disk full");
  ending.out_of_memory = true;
  CHECK_EQ(reason(), "out of memory");
  ending.timed_out = true;
  ending.timeout = std::chrono::seconds(3);
  CHECK_EQ(reason(), "timed out after 3 s");
  CHECK(classify(ending).result == model::JobResult::timed_out);
  ending.cancelled = true;
  CHECK_EQ(reason(), "cancelled");
  CHECK(classify(ending).result == model::JobResult::cancelled);
}

TEST_CASE("a job that succeeds although the disk was full has succeeded") {
  Ending ending;
  ending.disk_full = true;
  CHECK(classify(ending).result == model::JobResult::succeeded);
}

TEST_CASE("a job that was stopped is not saved by an exit code of 0") {
  Ending ending;
  ending.timed_out = true;
  CHECK(classify(ending).result == model::JobResult::timed_out);
}

TEST_CASE("the end is reported with the number of the last line") {
  Ending ending;
  ending.wait_status = exit_status(7);
  CHECK_EQ(finished_body(classify(ending), 42, std::chrono::milliseconds(9)),
           R"({"result":"failed","exit_code":7,"reason":"exit code 7","last_seq":42,"age_ms":9})");
}

TEST_CASE("a user is found with groups and home") {
  const Account account =
      find_account("root:x:0:0:root:/root:/bin/sh\nrunner:x:1001:121:,,,:/home/r:/bin/sh\n",
                   "docker:x:122:bob,runner\nrunner:x:121:\nnone:x:7:\n", "runner");
  CHECK(account.known);
  CHECK_EQ(account.uid, 1001);
  CHECK_EQ(account.gid, 121);
  CHECK_EQ(account.groups, std::vector<gid_t>{121, 122});
  CHECK_EQ(account.home, "/home/r");
}

TEST_CASE("an image without the user never gives root") {
  const Account account =
      find_account("root:x:0:0:root:/root:/bin/sh\nrunner:x:nonsense\n", "", "runner");
  CHECK_FALSE(account.known);
  CHECK_EQ(account.uid, 1000);
  CHECK_EQ(account.home, "/home/runner");
}
