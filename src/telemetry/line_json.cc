#include "telemetry/line_json.h"

#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>

namespace nimbus::telemetry {
namespace {

// What must be escaped inside a JSON string (RFC 8259 §7).
constexpr std::array<bool, 256> kEscaped = [] {
  std::array<bool, 256> escaped{};
  for (size_t c = 0; c < 0x20; ++c) escaped[c] = true;
  escaped['"'] = escaped['\\'] = true;
  return escaped;
}();

void append_escape(std::string& out, char c) {
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default: break;
  }
  constexpr std::string_view kHex = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(c);
  out += "\\u00";
  out += kHex[byte >> 4];
  out += kHex[byte & 15];
}

void append_number(std::string& out, int64_t number) {
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  out.append(digits.data(), end.ptr);
}

}  // namespace

void append_json_text(std::string& out, std::string_view text) {
  out += '"';
  size_t begin = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (!kEscaped[static_cast<unsigned char>(text[i])]) continue;
    out.append(text, begin, i - begin);
    append_escape(out, text[i]);
    begin = i + 1;
  }
  out.append(text, begin);
  out += '"';
}

void append_time(std::string& out, int64_t ns) {
  using std::chrono::days;
  using std::chrono::nanoseconds;
  const std::chrono::sys_time<nanoseconds> time{nanoseconds(ns)};
  const auto day = std::chrono::floor<days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss<nanoseconds> clock(time - day);
  std::array<char, 40> text;
  const int size = std::snprintf(
      text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d", static_cast<int>(date.year()),
      static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
      static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
      static_cast<int>(clock.seconds().count()));
  out.append(text.data(), static_cast<size_t>(size));
  if (const long fraction = clock.subseconds().count(); fraction != 0) {
    std::snprintf(text.data(), text.size(), ".%09ld", fraction);
    std::string_view digits(text.data(), 10);
    while (digits.back() == '0') digits.remove_suffix(1);
    out += digits;
  }
  out += 'Z';
}

void append_line_json(std::string& out, const model::LogLine& line, model::Fence fence) {
  out += "{\"ts\":\"";
  append_time(out, line.ts_ns);
  out += "\",\"seq\":";
  append_number(out, line.seq);
  out += ",\"stream\":\"";
  out += to_string(line.stream);
  out += "\",\"text\":";
  append_json_text(out, line.text);
  out += ",\"fence\":";
  append_number(out, fence.value);
  out += line.partial ? ",\"partial\":true}" : "}";
}

}  // namespace nimbus::telemetry
