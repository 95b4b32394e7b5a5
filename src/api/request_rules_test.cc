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
  for (const char* parameter : {"id", "org"}) request.parameters.emplace_back(parameter, "1");
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

TEST_CASE("a query parameter's value is what the description says") {
  const auto ask_with = [](const std::string& pattern, const std::string& name,
                           const std::string& value) {
    net::Request request;
    request.method = "GET";
    request.parameters.emplace_back("id", "12");
    request.query.emplace_back(name, value);
    return api::request_rules()(pattern, request);
  };
  for (const char* value : {"2", "true", "yes", "", "01"}) {
    const auto refused = ask_with("/api/v1/jobs/{id}/logs", "follow", value);
    REQUIRE(refused);
    CHECK_EQ(refused->status, 400);
    CHECK_NE(refused->body.find("'follow' must be one of 0, 1"), std::string::npos);
  }
  CHECK_FALSE(ask_with("/api/v1/jobs/{id}/logs", "follow", "1"));
  for (const char* value : {"007", "+7", "-1", "7x", " 7", "", "0x7"}) {
    CHECK_EQ(ask_with("/api/v1/jobs", "limit", value)->status, 400);
  }
  CHECK_FALSE(ask_with("/api/v1/jobs", "limit", "7"));
  CHECK_FALSE(ask_with("/api/v1/jobs/{id}/logs", "after", "0"));
}

TEST_CASE("what says no to a removal is not taken for a yes") {
  net::Request request;
  request.method = "DELETE";
  request.parameters.emplace_back("name", "acme/app");
  request.query.emplace_back("untagged", "1");
  CHECK_EQ(api::request_rules()("/api/v1/repositories/{name...}", request)->status, 400);
  request.query.front().second = "true";
  CHECK_FALSE(api::request_rules()("/api/v1/repositories/{name...}", request));
}

TEST_CASE("a thing has one path: its number is written in one way") {
  for (const char* id : {"01", "+1", "1x", "-1", "1.0", "0x1", ""}) {
    net::Request request;
    request.method = "GET";
    request.parameters.emplace_back("id", id);
    const auto refused = api::request_rules()("/api/v1/jobs/{id}", request);
    REQUIRE(refused);
    CHECK_EQ(refused->status, 404);
    request.method = "POST";
    CHECK_EQ(api::request_rules()("/api/v1/jobs/{id}/cancel", request)->status, 404);
  }
  net::Request good;
  good.method = "GET";
  good.parameters.emplace_back("id", "120");
  CHECK_FALSE(api::request_rules()("/api/v1/jobs/{id}", good));
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
