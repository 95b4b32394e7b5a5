#include "api/openapi.h"

#include <doctest/doctest.h>

#include <boost/json.hpp>

using namespace nimbus;
namespace json = boost::json;

TEST_CASE("the API description is JSON whose references all lead somewhere") {
  const json::value document = json::parse(api::openapi_json());
  CHECK_EQ(document.at("openapi").as_string(), "3.1.0");
  const auto& schemas = document.at("components").at("schemas").as_object();
  const std::string_view text = api::openapi_json();
  constexpr std::string_view kMark = "\"#/components/schemas/";
  for (size_t at = text.find(kMark); at != text.npos; at = text.find(kMark, at + 1)) {
    const size_t start = at + kMark.size();
    const std::string_view name = text.substr(start, text.find('"', start) - start);
    CHECK_MESSAGE(schemas.contains(name), name);
  }
}

TEST_CASE("a route that is served and not described is named") {
  const std::vector<std::pair<std::string, std::string>> routes = {{"GET", "/api/v1/jobs/{job}"},
                                                                   {"GET", "/api/v1/secrets"}};
  CHECK_EQ(api::undocumented_routes(routes), std::vector<std::string>{"GET /api/v1/secrets"});
}

TEST_CASE("a described route that is not served is named") {
  const std::vector<std::pair<std::string, std::string>> routes = {
      {"GET", "/healthz"}, {"GET", "/readyz"}, {"GET", "/metrics"}};
  const std::vector<std::string_view> tags = {"health"};
  CHECK_EQ(api::unserved_routes(routes, tags), std::vector<std::string>{"GET /openapi.json"});
}

TEST_CASE("a value is judged by its schema") {
  CHECK(api::schema_faults("Resources", {{"cpus", 2}, {"memory_mb", 64}, {"disk_mb", 1}}).empty());
  CHECK_EQ(api::schema_faults("Resources", {{"cpus", 0}, {"memory_mb", "64"}, {"more", 1}}),
           std::vector<std::string>{"/disk_mb: is missing", "/cpus: is below the minimum",
                                    "/memory_mb: is of the wrong type", "/more: is not described"});
}

TEST_CASE("what the doors of the API answer before a handler runs is described") {
  const json::value document = json::parse(api::openapi_json());
  for (const auto& [path, operations] : document.at("paths").as_object()) {
    if (!path.starts_with("/api/v1/")) continue;
    for (const auto& [method, operation] : operations.as_object()) {
      const auto& responses = operation.at("responses").as_object();
      // An unknown query parameter.
      CHECK_MESSAGE(responses.contains("400"), method, " ", path);
      const json::value* security = operation.as_object().if_contains("security");
      const bool own_session = path == "/api/v1/session";  // its cookie is of one kind
      // A credential that is real and of another kind.
      if (security == nullptr || security->as_array().empty() || own_session) continue;
      CHECK_MESSAGE(responses.contains("403"), method, " ", path);
    }
  }
}

TEST_CASE("a route that takes an org in its body says what another's gets, and what is too large") {
  const json::value document = json::parse(api::openapi_json());
  const json::object& paths = document.at("paths").as_object();
  const auto answers = [&](std::string_view method, std::string_view path) {
    return paths.at(path).at(method).at("responses").as_object();
  };
  CHECK(answers("post", "/api/v1/jobs").contains("404"));
  CHECK(answers("post", "/api/v1/jobs").contains("413"));
  CHECK(answers("put", "/api/v1/orgs/{org}").contains("404"));
  CHECK(answers("post", "/api/v1/tokens").contains("404"));
  for (const char* path : {"/v1/logs", "/v1/traces", "/v1/metrics"})
    CHECK(answers("post", path).contains("403"));
}
