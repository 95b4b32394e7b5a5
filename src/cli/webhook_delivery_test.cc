#include "cli/webhook_delivery.h"

#include <doctest/doctest.h>

#include <boost/json.hpp>

using namespace nimbus;
using namespace nimbus::cli;

namespace {

Delivery sample() {
  return {.event = "workflow_job", .guid = "g", .body = "Hello, World!", .timestamp = {}};
}

}  // namespace

TEST_CASE("a delivery is signed as GitHub documents it") {
  // The example of GitHub's documentation on validating deliveries.
  const auto request = make_delivery(sample(), Secret("It's a Secret to Everybody"), "http://x/");
  CHECK(request.headers.find("X-Hub-Signature-256") ==
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
  CHECK(request.headers.find("X-GitHub-Event") == "workflow_job");
  CHECK(request.headers.find("X-GitHub-Delivery") == "g");
  CHECK(!request.headers.find("X-Hub-Signature-Timestamp"));
}

TEST_CASE("a relay's delivery signs its time with the body") {
  Delivery delivery = sample();
  delivery.timestamp = from_us(1'767'225'600'000'000);
  const auto request = make_delivery(delivery, Secret("s"), "http://x/");
  CHECK(request.headers.find("X-Hub-Signature-Timestamp") == "1767225600");
  Delivery joined = sample();
  joined.body = "1767225600.Hello, World!";
  CHECK(request.headers.find("X-Hub-Signature-256") ==
        make_delivery(joined, Secret("s"), "http://x/").headers.find("X-Hub-Signature-256"));
}

TEST_CASE("only the workflow job's times that are set move") {
  const Time now = *parse_rfc3339("2026-11-24T12:00:00.5Z");
  const auto moved = move_times(
      R"({"workflow_job":{"created_at":"2020-01-01T00:00:00Z","completed_at":null,"id":1},"repository":{"created_at":"2019-01-01T00:00:00Z"}})",
      now);
  REQUIRE(moved.has_value());
  CHECK(
      *moved ==
      R"({"workflow_job":{"created_at":"2026-11-24T12:00:00Z","completed_at":null,"id":1},"repository":{"created_at":"2019-01-01T00:00:00Z"}})");
  CHECK(!move_times("{}", now).has_value());
  CHECK(!move_times("no json", now).has_value());
}

TEST_CASE("the event is read off the file's name") {
  CHECK(event_of_file("a/b/workflow_run.completed.json") == "workflow_run");
  CHECK(event_of_file("ping.json") == "ping");
  CHECK(event_of_file("queued.json") == "workflow_job");
  CHECK(event_of_file("-") == "workflow_job");
}

TEST_CASE("a delivery id is a GUID of version 4") {
  SeededRandom random(1);
  const std::string guid = make_guid(random);
  CHECK(guid.size() == 36);
  CHECK(guid[14] == '4');
  CHECK(make_guid(random) != guid);
}
