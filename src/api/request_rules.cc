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

// What the description says of a parameter's value.
struct ParameterRule {
  std::string name;
  std::string type;                  // "string", "integer", "boolean"
  std::vector<std::string> choices;  // of a string; empty: any
};

struct Rules {
  std::vector<ParameterRule> query;
  std::vector<ParameterRule> path;
  bool takes_json = false;
};
using Table = std::map<std::string, Rules, std::less<>>;  // by "get /api/v1/jobs"

ParameterRule read_parameter(const json::object& parameter) {
  ParameterRule rule;
  rule.name = parameter.at("name").as_string();
  const json::object& schema = parameter.at("schema").as_object();
  rule.type = schema.at("type").as_string();
  if (const json::value* choices = schema.if_contains("enum")) {
    for (const json::value& choice : choices->as_array()) {
      rule.choices.emplace_back(choice.as_string());
    }
  }
  return rule;
}

Rules read_rules(const json::object& operation) {
  Rules rules;
  if (const json::value* parameters = operation.if_contains("parameters")) {
    for (const json::value& value : parameters->as_array()) {
      const json::object& parameter = value.as_object();
      const auto& in = parameter.at("in").as_string();
      if (in == "query") rules.query.push_back(read_parameter(parameter));
      if (in == "path") rules.path.push_back(read_parameter(parameter));
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

// As numbers are written here: "1" and not "01" or "+1", so that each thing has one name.
bool is_whole_number(std::string_view text) {
  if (text.empty() || (text.size() > 1 && text.front() == '0')) return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// What is right, where the value is not; "" where it is.
std::string fault_of(const ParameterRule& rule, std::string_view value) {
  if (rule.type == "integer" && !is_whole_number(value)) return "a whole number";
  if (rule.type == "boolean" && value != "true" && value != "false") return "true or false";
  const auto& choices = rule.choices;
  const bool known =
      choices.empty() || std::find(choices.begin(), choices.end(), value) != choices.end();
  if (known) return "";
  return (choices.size() > 1 ? "one of " : "") + join(choices, ", ");
}

std::string shown(std::string_view text) { return to_utf8_lossy(text.substr(0, kShownBytesMax)); }

std::optional<net::Response> refuse_query(const Rules& rules, const net::Request& request) {
  for (const auto& [name, value] : request.query) {
    const auto rule =
        std::find_if(rules.query.begin(), rules.query.end(),
                     [&name](const ParameterRule& known) { return known.name == name; });
    if (rule == rules.query.end()) {
      std::vector<std::string> names;
      for (const ParameterRule& known : rules.query) names.push_back(known.name);
      return net::problem(
          400, "unknown query parameter '" + shown(name) + "'",
          names.empty() ? "this path takes none" : "this path takes " + join(names, ", "));
    }
    if (const std::string right = fault_of(*rule, value); !right.empty()) {
      return net::problem(
          400, "parameter '" + name + "' must be " + right + ", not '" + shown(value) + "'");
    }
  }
  return std::nullopt;
}

// A path that names nothing that could be there.
std::optional<net::Response> refuse_path(const Rules& rules, const net::Request& request) {
  for (const ParameterRule& rule : rules.path) {
    if (rule.type != "integer" || is_whole_number(request.parameter(rule.name))) continue;
    return net::problem(
        404, "there is nothing with the number '" + shown(request.parameter(rule.name)) + "'");
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
    if (auto refused = refuse_path(found->second, request)) return refused;
    if (auto refused = refuse_query(found->second, request)) return refused;
    if (found->second.takes_json && !request.body.empty() && !is_json(request)) {
      return net::problem(415, "the body is not application/json",
                          "send it with Content-Type: application/json");
    }
    return std::nullopt;
  };
}

}  // namespace nimbus::api
