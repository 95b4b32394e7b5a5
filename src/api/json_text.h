// One JSON object written field by field, for answers made by hand from rows: no tree in between.
//
//   JsonText().integer("id", 12).text("state", "queued").finish()   →   {"id":12,"state":"queued"}
//
// Threads: values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace nimbus::api {

class JsonText {
 public:
  JsonText& text(std::string_view name, std::string_view value);
  JsonText& integer(std::string_view name, int64_t value);
  JsonText& boolean(std::string_view name, bool value);
  JsonText& time(std::string_view name, Time value);
  // `json` is JSON already.
  JsonText& raw(std::string_view name, std::string_view json);
  JsonText& null(std::string_view name) { return raw(name, "null"); }
  // nullopt: null.
  JsonText& text(std::string_view name, const std::optional<std::string>& value);
  JsonText& integer(std::string_view name, const std::optional<int64_t>& value);
  JsonText& time(std::string_view name, const std::optional<Time>& value);
  // A literal must not become a boolean or an optional.
  JsonText& text(std::string_view name, const char* value) {
    return text(name, std::string_view(value));
  }
  JsonText& text(std::string_view name, const std::string& value) {
    return text(name, std::string_view(value));
  }

  std::string finish();  // the object; this is spent afterwards

 private:
  void name(std::string_view name);
  std::string json_ = "{";
};

// "[a,b]" of values that are JSON already.
std::string json_array(const std::vector<std::string>& items);
std::string json_texts(const std::vector<std::string>& texts);

}  // namespace nimbus::api
