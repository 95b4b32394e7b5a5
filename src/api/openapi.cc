#include "api/openapi.h"

#include <algorithm>
#include <boost/json.hpp>
#include <set>

#include "api/openapi_json.h"
#include "base/check.h"
#include "base/text.h"
#include "base/time.h"

namespace nimbus::api {
namespace {

namespace json = boost::json;

const json::object& document() {
  static const json::value parsed = json::parse(openapi_json());
  return parsed.get_object();
}

// "GET /api/v1/jobs/{}": parameters lose their names.
std::string route_key(std::string_view method, std::string_view pattern) {
  std::string key(method);
  key += ' ';
  bool inside = false;
  for (const char c : pattern) {
    if (c == '}') inside = false;
    if (!inside) key += c;
    if (c == '{') inside = true;
  }
  return key;
}

bool has_tag(const json::object& operation, std::span<const std::string_view> tags) {
  if (tags.empty()) return true;
  for (const json::value& tag : operation.at("tags").as_array()) {
    if (std::find(tags.begin(), tags.end(), std::string_view(tag.as_string())) != tags.end()) {
      return true;
    }
  }
  return false;
}

std::set<std::string> described(std::span<const std::string_view> tags) {
  std::set<std::string> keys;
  for (const auto& [path, operations] : document().at("paths").as_object()) {
    for (const auto& [method, operation] : operations.as_object()) {
      std::string upper(method);
      std::transform(upper.begin(), upper.end(), upper.begin(),
                     [](char c) { return static_cast<char>(c - 'a' + 'A'); });
      if (has_tag(operation.as_object(), tags)) keys.insert(route_key(upper, path));
    }
  }
  return keys;
}

class Validator {
 public:
  std::vector<std::string> faults;

  void check(const json::object& schema, const json::value& value, const std::string& at) {
    if (const json::value* ref = schema.if_contains("$ref")) {
      return check(named(std::string_view(ref->as_string())), value, at);
    }
    if (const json::value* any = schema.if_contains("oneOf")) return check_any(*any, value, at);
    if (const json::value* type = schema.if_contains("type")) {
      if (!has_type(*type, value)) return fault(at, "is of the wrong type");
    }
    if (const json::value* words = schema.if_contains("enum")) check_enum(*words, value, at);
    if (value.is_object()) check_object(schema, value.get_object(), at);
    if (value.is_array() && schema.contains("items")) {
      for (size_t i = 0; i < value.get_array().size(); ++i) {
        check(schema.at("items").as_object(), value.get_array()[i], at + "/" + std::to_string(i));
      }
    }
    check_bounds(schema, value, at);
  }

 private:
  static const json::object& named(std::string_view reference) {
    constexpr std::string_view kPrefix = "#/components/schemas/";
    CHECK(reference.starts_with(kPrefix));
    const auto& schemas = document().at("components").at("schemas").as_object();
    const json::value* schema = schemas.if_contains(reference.substr(kPrefix.size()));
    CHECK(schema != nullptr);
    return schema->as_object();
  }

  static bool is_type(std::string_view type, const json::value& value) {
    if (type == "null") return value.is_null();
    if (type == "boolean") return value.is_bool();
    if (type == "string") return value.is_string();
    if (type == "integer") return value.is_int64() || value.is_uint64();
    if (type == "number") return value.is_number();
    if (type == "array") return value.is_array();
    CHECK(type == "object");
    return value.is_object();
  }

  static bool has_type(const json::value& type, const json::value& value) {
    if (type.is_string()) return is_type(type.get_string(), value);
    return std::any_of(type.as_array().begin(), type.as_array().end(),
                       [&](const json::value& one) { return is_type(one.as_string(), value); });
  }

  void check_any(const json::value& any, const json::value& value, const std::string& at) {
    for (const json::value& one : any.as_array()) {
      Validator attempt;
      attempt.check(one.as_object(), value, at);
      if (attempt.faults.empty()) return;
    }
    fault(at, "is none of the allowed shapes");
  }

  void check_enum(const json::value& words, const json::value& value, const std::string& at) {
    const auto& array = words.as_array();
    if (std::find(array.begin(), array.end(), value) == array.end()) {
      fault(at, "is not one of the allowed words");
    }
  }

  void check_object(const json::object& schema, const json::object& object, const std::string& at) {
    if (const json::value* required = schema.if_contains("required")) {
      for (const json::value& name : required->as_array()) {
        if (!object.contains(name.as_string())) {
          fault(at + "/" + std::string(name.as_string()), "is missing");
        }
      }
    }
    const json::value* known = schema.if_contains("properties");
    const json::value* other = schema.if_contains("additionalProperties");
    for (const auto& [name, value] : object) {
      const std::string place = at + "/" + std::string(name);
      const json::value* property =
          known == nullptr ? nullptr : known->as_object().if_contains(name);
      if (property != nullptr) {
        check(property->as_object(), value, place);
      } else if (other != nullptr && other->is_object()) {
        check(other->get_object(), value, place);
      } else if (other != nullptr && other->is_bool() && !other->get_bool()) {
        fault(place, "is not described");
      }
    }
  }

  void check_bounds(const json::object& schema, const json::value& value, const std::string& at) {
    const json::value* least = schema.if_contains("minimum");
    const json::value* most = schema.if_contains("maximum");
    if (value.is_int64() && least != nullptr && value.get_int64() < least->to_number<int64_t>()) {
      fault(at, "is below the minimum");
    }
    if (value.is_int64() && most != nullptr && value.get_int64() > most->to_number<int64_t>()) {
      fault(at, "is above the maximum");
    }
    const json::value* format = schema.if_contains("format");
    if (value.is_string() && format != nullptr && format->as_string() == "date-time" &&
        !parse_rfc3339(std::string_view(value.get_string()))) {
      fault(at, "is not an RFC 3339 time");
    }
  }

  void fault(const std::string& at, std::string_view what) {
    faults.push_back((at.empty() ? "/" : at) + ": " + std::string(what));
  }
};

}  // namespace

std::string_view openapi_json() { return {kOpenapiJson, sizeof kOpenapiJson - 1}; }

std::vector<std::string> undocumented_routes(
    std::span<const std::pair<std::string, std::string>> routes) {
  const std::set<std::string> known = described({});
  std::vector<std::string> missing;
  for (const auto& [method, pattern] : routes) {
    if (known.contains(route_key(method, pattern))) continue;
    missing.push_back(method);
    missing.back().append(" ").append(pattern);
  }
  return missing;
}

std::vector<std::string> unserved_routes(
    std::span<const std::pair<std::string, std::string>> routes,
    std::span<const std::string_view> tags) {
  std::set<std::string> known = described(tags);
  for (const auto& [method, pattern] : routes) known.erase(route_key(method, pattern));
  return {known.begin(), known.end()};
}

std::vector<std::string> schema_faults(std::string_view schema, const json::value& value) {
  Validator validator;
  json::object reference;
  reference["$ref"] = "#/components/schemas/" + std::string(schema);
  validator.check(reference, value, "");
  return validator.faults;
}

}  // namespace nimbus::api
