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
