#include "control/workflow_job.h"

#include <doctest/doctest.h>

#include "control/webhook_fixtures.h"

using namespace nimbus;
using namespace nimbus::control;

namespace {

constexpr std::string_view kSmall =
    R"({"action":"queued","workflow_job":{"id":7,"run_id":8,"labels":["nimbus"],)"
    R"("created_at":"2026-01-02T03:04:05Z"},"repository":{"name":"app","owner":{"login":"acme"}}})";

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const size_t at = text.find(from);
  REQUIRE(at != text.npos);
  return text.replace(at, from.size(), to);
}

std::string small(std::string_view from, std::string_view to) {
  return replaced(std::string(kSmall), from, to);
}

std::string refusal(std::string_view body) {
  const auto event = parse_workflow_job(body);
  if (event) return "accepted";
  CHECK_EQ(event.error().code, Code::bad_request);
  return event.error().message;
}

}  // namespace

TEST_CASE("GitHub's own example is read") {
  const auto event = parse_workflow_job(fixture_body("workflow_job.completed.failure.org.json"));
  REQUIRE(event);
  REQUIRE(event->has_value());
  const WorkflowJob& job = **event;
  CHECK_EQ(job.rank, GithubRank::completed);
  CHECK_EQ(job.job_id, 289782451);
  CHECK_EQ(job.run_id, 2202229078);
  CHECK_EQ(job.conclusion, "failure");
  CHECK_EQ(job.labels, std::vector<std::string>{"ubuntu-latest"});
  CHECK_EQ(job.owner, "Octocoders");
  CHECK_EQ(job.repo, "Hello-World");
  CHECK_FALSE(job.installation_id);
}

TEST_CASE("an action queued whose status is waiting waits") {
  const auto event =
      parse_workflow_job(fixture_body("workflow_job.queued.self-hosted-k8s.deployment.json"));
  REQUIRE(event);
  CHECK_EQ((*event)->rank, GithubRank::waiting);
  CHECK_EQ((*event)->installation_id, 23154469);
}

TEST_CASE("an action that means nothing here is no error") {
  const auto event = parse_workflow_job(small("queued", "archived"));
  REQUIRE(event);
  CHECK_FALSE(event->has_value());
}

TEST_CASE("what is missing or of a wrong type is named") {
  CHECK_EQ(refusal(kSmall), "accepted");
  CHECK_EQ(refusal(small("\"action\":\"queued\",", "")), "field 'action' is missing");
  CHECK_EQ(refusal(small("\"queued\"", "1")), "field 'action' must be a string");
  CHECK_EQ(refusal(small("\"id\":7,", "")), "field 'workflow_job.id' is missing");
  CHECK_EQ(refusal(small("\"id\":7", "\"id\":\"7\"")),
           "field 'workflow_job.id' must be a positive integer");
  CHECK_EQ(refusal(small("\"id\":7", "\"id\":7.5")),
           "field 'workflow_job.id' must be a positive integer");
  CHECK_EQ(refusal(small("\"id\":7", "\"id\":0")),
           "field 'workflow_job.id' must be a positive integer");
  CHECK_EQ(refusal(small("\"id\":7", "\"id\":9223372036854775808")),
           "field 'workflow_job.id' must be a positive integer");
  CHECK_EQ(refusal(small("[\"nimbus\"]", "null")), "field 'workflow_job.labels' is missing");
  CHECK_EQ(refusal(small("[\"nimbus\"]", "[1]")),
           "field 'workflow_job.labels' must be an array of strings");
  CHECK_EQ(refusal(small("{\"login\":\"acme\"}", "[]")),
           "field 'repository.owner' must be an object");
  CHECK_EQ(refusal(small("2026-01-02T03:04:05Z", "yesterday")),
           "field 'workflow_job.created_at' must be an RFC 3339 time");
  CHECK_EQ(refusal(small("\"queued\"", "\"completed\"")),
           "field 'workflow_job.conclusion' is missing");
}

TEST_CASE("a field that Nimbus reads may not stand there twice") {
  CHECK_EQ(refusal(small("\"id\":7", "\"id\":7,\"id\":8")),
           "field 'workflow_job.id' stands there twice");
  CHECK_EQ(refusal(small("{\"action\"", "{\"repository\":1,\"action\"")),
           "field 'repository' stands there twice");
}

TEST_CASE("what is not strictly JSON is refused") {
  const std::string good(kSmall);
  for (const std::string& bad :
       {std::string(), good + "x", good + "{}", "\xef\xbb\xbf" + good,
        good.substr(0, good.size() - 1), "[" + good + "]", small("\"id\":7", "\"id\":07"),
        small("\"id\":7", "\"id\":7,\"x\":1e400"), small("\"id\":7", "\"id\":7,\"x\":tru"),
        small("acme", "ac\xffme"), small("acme", "\\ud800"), small("acme", "\\udc00"),
        small("acme", "ac\nme"), small("acme", std::string_view("ac\0me", 5)),
        small("\"id\":7", "\"id\":7,"), small("\"id\":7", "\"id\":NaN")}) {
    CHECK_MESSAGE(refusal(bad) != "accepted", bad);
  }
}

TEST_CASE("nesting is bounded") {
  const auto nested = [](size_t levels) {
    return small("\"id\":7",
                 "\"id\":7,\"x\":" + std::string(levels, '[') + std::string(levels, ']'));
  };
  CHECK_EQ(refusal(nested(20)), "accepted");
  CHECK_NE(refusal(nested(32)), "accepted");
  CHECK_NE(refusal(nested(100'000)), "accepted");
}

TEST_CASE("a million foreign keys are passed over") {
  std::string keys;
  for (int i = 0; i < 1'000'000; ++i) keys += "\"k\":0,";
  CHECK_EQ(refusal(small("\"id\":7", keys + "\"id\":7")), "accepted");
  CHECK_EQ(refusal(kSmall), "accepted");
}

TEST_CASE("other events need only be JSON") {
  const auto ping = parse_other_event(fixture_body("ping.repo-or-org.json"));
  REQUIRE(ping);
  CHECK_EQ(ping->repo, "Hello-World");
  CHECK_FALSE(parse_other_event("[]"));
  CHECK_FALSE(parse_other_event("{"));
}
