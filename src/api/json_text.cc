#include "api/json_text.h"

#include "base/json.h"

namespace nimbus::api {
namespace {

// Most texts need no escape: they are copied, the rest goes through json_quote.
void append_quoted(std::string& json, std::string_view text) {
  for (const unsigned char c : text) {
    if (c < 0x20 || c == '"' || c == '\\' || c == 0x7f) {
      json += json_quote(text);
      return;
    }
  }
  json += '"';
  json += text;
  json += '"';
}

}  // namespace

void JsonText::name(std::string_view name) {
  if (json_.size() > 1) json_ += ',';
  json_ += '"';
  json_ += name;
  json_ += "\":";
}

JsonText& JsonText::text(std::string_view key, std::string_view value) {
  name(key);
  append_quoted(json_, value);
  return *this;
}

JsonText& JsonText::integer(std::string_view key, int64_t value) {
  return raw(key, std::to_string(value));
}

JsonText& JsonText::boolean(std::string_view key, bool value) {
  return raw(key, value ? "true" : "false");
}

JsonText& JsonText::time(std::string_view key, Time value) { return text(key, to_rfc3339(value)); }

JsonText& JsonText::raw(std::string_view key, std::string_view json) {
  name(key);
  json_ += json;
  return *this;
}

JsonText& JsonText::text(std::string_view key, const std::optional<std::string>& value) {
  return value ? text(key, std::string_view(*value)) : null(key);
}

JsonText& JsonText::integer(std::string_view key, const std::optional<int64_t>& value) {
  return value ? integer(key, *value) : null(key);
}

JsonText& JsonText::time(std::string_view key, const std::optional<Time>& value) {
  return value ? time(key, *value) : null(key);
}

std::string JsonText::finish() {
  json_ += '}';
  return std::move(json_);
}

std::string json_array(const std::vector<std::string>& items) {
  std::string json = "[";
  for (const std::string& item : items) {
    if (json.size() > 1) json += ',';
    json += item;
  }
  return json + ']';
}

std::string json_texts(const std::vector<std::string>& texts) {
  std::string json = "[";
  for (const std::string& text : texts) {
    if (json.size() > 1) json += ',';
    append_quoted(json, text);
  }
  return json + ']';
}

}  // namespace nimbus::api
