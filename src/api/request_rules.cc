#include "api/request_rules.h"

#include <algorithm>
#include <boost/json.hpp>
#include <map>

#include "api/openapi.h"
#include "base/check.h"
#include "base/encoding.h"
#include "base/text.h"

namespace nimbus::api {
namespace {

namespace json = boost::json;

constexpr std::string_view kHeldPaths = "/api/v1/";
constexpr std::string_view kJson = "application/json";
constexpr size_t kShownBytesMax = 64;

struct Rules {
  std::vector<std::string> query;
  bool takes_json = false;
};
using Table = std::map<std::string, Rules, std::less<>>;  // by "get /api/v1/jobs"

Rules read_rules(const json::object& operation) {
  Rules rules;
  if (const json::value* parameters = operation.if_contains("parameters")) {
    for (const json::value& parameter : parameters->as_array()) {
      if (parameter.at("in").as_string() != "query") continue;
      rules.query.emplace_back(parameter.at("name").as_string());
    }
  }
  if (const json::value* body = operation.if_contains("requestBody")) {
    rules.takes_json = body->at("content").as_object().contains(kJson);
  }
  return rules;
}

Table read_table() {
  Table table;
  const json::value document = json::parse(openapi_json());
  for (const auto& [path, operations] : document.at("paths").as_object()) {
    if (!path.starts_with(kHeldPaths)) continue;
    for (const auto& [method, operation] : operations.as_object()) {
      table[std::string(method) + " " + std::string(path)] = read_rules(operation.as_object());
    }
  }
  CHECK(!table.empty());
  return table;
}

std::optional<net::Response> refuse_query(const Rules& rules, const net::Request& request) {
  for (const auto& [name, value] : request.query) {
    if (std::find(rules.query.begin(), rules.query.end(), name) != rules.query.end()) continue;
    const std::string shown = to_utf8_lossy(std::string_view(name).substr(0, kShownBytesMax));
    return net::problem(400, "unknown query parameter '" + shown + "'",
                        rules.query.empty() ? "this path takes none"
                                            : "this path takes " + join(rules.query, ", "));
  }
  return std::nullopt;
}

bool is_json(const net::Request& request) {
  std::string_view type = request.headers.find("Content-Type").value_or("");
  return equal_ignoring_case(trim(type.substr(0, type.find(';'))), kJson);
}

}  // namespace

net::RequestGuard request_rules() {
  static const Table table = read_table();
  return [](std::string_view pattern, const net::Request& request) -> std::optional<net::Response> {
    if (!pattern.starts_with(kHeldPaths)) return std::nullopt;
    const std::string method = request.method == "HEAD" ? "get" : to_lower(request.method);
    std::string path(pattern);
    // The description has no word for a parameter that takes the rest of the path.
    if (path.ends_with("...}")) path.replace(path.size() - 4, 4, "}");
    const auto found = table.find(method + " " + path);
    if (found == table.end()) return std::nullopt;
    if (auto refused = refuse_query(found->second, request)) return refused;
    if (found->second.takes_json && !request.body.empty() && !is_json(request)) {
      return net::problem(415, "the body is not application/json",
                          "send it with Content-Type: application/json");
    }
    return std::nullopt;
  };
}

}  // namespace nimbus::api
