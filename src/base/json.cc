#include "base/json.h"

#include <algorithm>
#include <boost/json.hpp>
#include <set>

#include "base/encoding.h"
#include "base/text.h"

namespace nimbus {
namespace {

namespace json = boost::json;

constexpr size_t kShownNameBytesMax = 64;

std::string_view kind_name(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null: return "null";
    case json::kind::bool_: return "a boolean";
    case json::kind::string: return "a string";
    case json::kind::array: return "an array";
    case json::kind::object: return "an object";
    default: return "a number";
  }
}

tl::unexpected<Error> wrong_type(std::string_view field, std::string_view wanted,
                                 const json::value& got) {
  return fail(Code::bad_request, "field '" + std::string(field) + "' must be " +
                                     std::string(wanted) + ", not " + std::string(kind_name(got)));
}

tl::unexpected<Error> missing(std::string_view field) {
  return fail(Code::bad_request, "field '" + std::string(field) + "' is missing");
}

const json::value* present(const json::object& object, std::string_view field) {
  const json::value* value = object.if_contains(field);
  return value == nullptr || value->is_null() ? nullptr : value;
}

size_t count_members(const json::value& value) {
  size_t count = 0;
  if (const json::object* object = value.if_object()) {
    count = object->size();
    for (const auto& [key, member] : *object) count += count_members(member);
  } else if (const json::array* array = value.if_array()) {
    for (const json::value& item : *array) count += count_members(item);
  }
  return count;
}

// One past the closing quote of the string whose opening quote is at `begin`, in well-formed JSON.
size_t end_of_string(std::string_view text, size_t begin) {
  size_t at = begin + 1;
  while (text[at] != '"') at += text[at] == '\\' ? 2 : 1;
  return at + 1;
}

// Members as the text has them: each has one colon outside of strings.
size_t count_written_members(std::string_view text) {
  size_t count = 0;
  for (size_t at = 0; at < text.size();) {
    if (text[at] == '"') {
      at = end_of_string(text, at);
    } else {
      count += text[at++] == ':';
    }
  }
  return count;
}

// The first name that an object has a second time. Only for a text that has one: it allocates.
std::string find_repeated_name(std::string_view text) {
  std::vector<std::set<std::string>> objects;
  size_t last_begin = 0, last_end = 0;
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c == '"') {
      last_begin = at;
      at = last_end = end_of_string(text, at);
      continue;
    }
    if (c == '{') objects.emplace_back();
    if (c == '}') objects.pop_back();
    if (c == ':') {
      const json::value name = json::parse(text.substr(last_begin, last_end - last_begin));
      std::string plain(name.as_string());
      if (!objects.back().insert(plain).second) return plain;
    }
    ++at;
  }
  return "";
}

}  // namespace

Result<json::value> parse_json(std::string_view text, size_t depth_max) {
  json::parse_options options;
  options.max_depth = depth_max;
  json::error_code error;
  json::value value = json::parse(text, error, {}, options);
  if (error) return fail(Code::bad_request, "body is not valid JSON: " + error.message());
  if (count_written_members(text) != count_members(value)) {
    const std::string name = find_repeated_name(text).substr(0, kShownNameBytesMax);
    return fail(Code::bad_request, "field '" + to_utf8_lossy(name) + "' is there twice",
                "name every field of an object once");
  }
  return value;
}

Result<json::object> parse_json_object(std::string_view text, size_t depth_max) {
  json::value value = TRY(parse_json(text, depth_max));
  if (!value.is_object()) {
    return fail(Code::bad_request,
                "body must be a JSON object, not " + std::string(kind_name(value)));
  }
  return std::move(value.get_object());
}

Result<std::optional<std::string>> find_text(const json::object& object, std::string_view field) {
  const json::value* value = present(object, field);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) return wrong_type(field, "a string", *value);
  return std::string(value->get_string());
}

Result<std::string> read_text(const json::object& object, std::string_view field) {
  auto text = TRY(find_text(object, field));
  if (!text) return missing(field);
  return std::move(*text);
}

Result<std::optional<int64_t>> find_int(const json::object& object, std::string_view field,
                                        int64_t min, int64_t max) {
  const json::value* value = present(object, field);
  if (value == nullptr) return std::nullopt;
  json::error_code error;
  const auto number = value->is_number() ? value->to_number<int64_t>(error) : 0;
  if (!value->is_number() || error) return wrong_type(field, "an integer", *value);
  if (number < min || number > max) {
    return fail(Code::bad_request, "field '" + std::string(field) + "' must be between " +
                                       std::to_string(min) + " and " + std::to_string(max));
  }
  return number;
}

Result<int64_t> read_int(const json::object& object, std::string_view field, int64_t min,
                         int64_t max) {
  const auto number = TRY(find_int(object, field, min, max));
  if (!number) return missing(field);
  return *number;
}

Result<std::optional<bool>> find_bool(const json::object& object, std::string_view field) {
  const json::value* value = present(object, field);
  if (value == nullptr) return std::nullopt;
  if (!value->is_bool()) return wrong_type(field, "true or false", *value);
  return value->get_bool();
}

Result<const json::object*> find_object(const json::object& object, std::string_view field) {
  const json::value* value = present(object, field);
  if (value == nullptr) return nullptr;
  if (!value->is_object()) return wrong_type(field, "an object", *value);
  return &value->get_object();
}

Result<const json::array*> find_array(const json::object& object, std::string_view field) {
  const json::value* value = present(object, field);
  if (value == nullptr) return nullptr;
  if (!value->is_array()) return wrong_type(field, "an array", *value);
  return &value->get_array();
}

Result<std::vector<std::string>> find_texts(const json::object& object, std::string_view field) {
  const json::array* array = TRY(find_array(object, field));
  std::vector<std::string> texts;
  if (array == nullptr) return texts;
  texts.reserve(array->size());
  for (const json::value& item : *array) {
    if (!item.is_string()) return wrong_type(field, "an array of strings", item);
    texts.emplace_back(item.get_string());
  }
  return texts;
}

Result<std::map<std::string, std::string>> find_text_map(const json::object& object,
                                                         std::string_view field) {
  const json::object* fields = TRY(find_object(object, field));
  std::map<std::string, std::string> texts;
  if (fields == nullptr) return texts;
  for (const auto& [key, value] : *fields) {
    if (!value.is_string()) return wrong_type(field, "an object of strings", value);
    texts.emplace(key, std::string(value.get_string()));
  }
  return texts;
}

Result<void> refuse_unknown_fields(const json::object& object,
                                   std::initializer_list<std::string_view> known) {
  for (const auto& [key, value] : object) {
    if (std::find(known.begin(), known.end(), std::string_view(key)) != known.end()) continue;
    const std::vector<std::string_view> candidates(known);
    const std::string_view guess = nearest(key, candidates);
    return fail(Code::bad_request, "unknown field '" + std::string(key) + "'",
                guess.empty() ? "" : "did you mean '" + std::string(guess) + "'?");
  }
  return {};
}

std::string json_quote(std::string_view text) { return json::serialize(json::string(text)); }

}  // namespace nimbus
