// JSON from outside, read strictly. `parse_json` bounds depth and refuses ill-formed UTF-8,
// trailing bytes, lone surrogates and objects that name a member twice (readers differ in which of
// the two they believe); the readers below name the field, what was wrong and what is right.
//
// A header that only passes values along includes this one; <boost/json.hpp> belongs in .cc files.
// Threads: pure functions.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace nimbus {

constexpr size_t kJsonDepthMax = 32;

// bad_request when the text is not one well-formed JSON value of at most `depth_max` levels.
Result<boost::json::value> parse_json(std::string_view text, size_t depth_max = kJsonDepthMax);
// The same, and the value must be an object.
Result<boost::json::object> parse_json_object(std::string_view text,
                                              size_t depth_max = kJsonDepthMax);

// read_x fails when the field is absent, null or of another type; find_x gives nullopt when it is
// absent or null and still fails on another type. Numbers must be integers within the given range.
Result<std::string> read_text(const boost::json::object& object, std::string_view field);
Result<std::optional<std::string>> find_text(const boost::json::object& object,
                                             std::string_view field);
Result<int64_t> read_int(const boost::json::object& object, std::string_view field,
                         int64_t min = INT64_MIN, int64_t max = INT64_MAX);
Result<std::optional<int64_t>> find_int(const boost::json::object& object, std::string_view field,
                                        int64_t min = INT64_MIN, int64_t max = INT64_MAX);
Result<std::optional<bool>> find_bool(const boost::json::object& object, std::string_view field);
// The field as an object or array, or nullptr when absent or null. bad_request on another type.
Result<const boost::json::object*> find_object(const boost::json::object& object,
                                               std::string_view field);
Result<const boost::json::array*> find_array(const boost::json::object& object,
                                             std::string_view field);
// An array of strings, empty when absent.
Result<std::vector<std::string>> find_texts(const boost::json::object& object,
                                            std::string_view field);
// An object whose values are all strings, empty when absent.
Result<std::map<std::string, std::string>> find_text_map(const boost::json::object& object,
                                                         std::string_view field);

// bad_request that names the nearest known field when `object` has one outside `known`.
Result<void> refuse_unknown_fields(const boost::json::object& object,
                                   std::initializer_list<std::string_view> known);

// `text` as a JSON string literal, quotes included.
std::string json_quote(std::string_view text);

}  // namespace nimbus
