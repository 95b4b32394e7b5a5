#include "api/request_rules.h"

#include <doctest/doctest.h>

using namespace nimbus;

namespace {

std::optional<net::Response> ask(std::string method, const std::string& pattern,
                                 const std::string& query, const std::string& type = "",
                                 std::string body = "") {
  net::Request request;
  request.method = std::move(method);
  if (!query.empty()) request.query.emplace_back(query, "x");
  if (!type.empty()) request.headers.set("Content-Type", type);
  request.body = std::move(body);
  return api::request_rules()(pattern, request);
}

}  // namespace

TEST_CASE("a query parameter that the route does not have is refused with those it has") {
  const auto refused = ask("GET", "/api/v1/orgs", "limt");
  REQUIRE(refused);
  CHECK_EQ(refused->status, 400);
  CHECK_NE(refused->body.find("unknown query parameter 'limt'"), std::string::npos);
  CHECK_NE(refused->body.find("limit, cursor"), std::string::npos);
  CHECK_EQ(ask("HEAD", "/api/v1/orgs", "limt")->status, 400);
  CHECK_EQ(ask("POST", "/api/v1/jobs/{id}/cancel", "force")->status, 400);
  CHECK_FALSE(ask("GET", "/api/v1/orgs", "cursor"));
  CHECK_FALSE(ask("GET", "/api/v1/jobs", "metadata"));
  CHECK_FALSE(ask("GET", "/healthz", "probe"));
}

TEST_CASE("a body where JSON is described must say that it is JSON") {
  for (const char* type : {"", "text/plain", "application/x-www-form-urlencoded", "text/json"}) {
    const auto refused = ask("POST", "/api/v1/session", "", type, "{}");
    REQUIRE(refused);
    CHECK_EQ(refused->status, 415);
  }
  CHECK_EQ(ask("PUT", "/api/v1/orgs/{org}", "", "text/plain", "{}")->status, 415);
  CHECK_FALSE(ask("POST", "/api/v1/session", "", "Application/JSON; charset=utf-8", "{}"));
  CHECK_FALSE(ask("POST", "/api/v1/jobs/{id}/logs", "", "application/x-ndjson", "{}"));
  CHECK_FALSE(ask("POST", "/webhooks/github", "", "text/plain", "{}"));
}
