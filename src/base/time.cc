#include "base/time.h"

#include <array>
#include <cstdio>

namespace nimbus {
namespace {

// Reads exactly `count` digits at `position`, or returns -1.
int read_digits(std::string_view text, size_t position, size_t count) {
  if (position + count > text.size()) return -1;
  int value = 0;
  for (size_t i = position; i < position + count; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

bool has(std::string_view text, size_t position, char wanted) {
  return position < text.size() && text[position] == wanted;
}

tl::unexpected<Error> not_a_time(std::string_view text) {
  return fail(Code::bad_request,
              "'" + std::string(text.substr(0, 64)) + "' is not an RFC 3339 time",
              "write it like 2026-01-31T12:00:00Z");
}

}  // namespace

std::string to_rfc3339(Time time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  std::array<char, 48> buffer{};
  int size = std::snprintf(
      buffer.data(), buffer.size(), "%04d-%02u-%02uT%02d:%02d:%02d", static_cast<int>(date.year()),
      static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
      static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
      static_cast<int>(clock.seconds().count()));
  const auto fraction = static_cast<int>(clock.subseconds().count());
  const auto used = static_cast<size_t>(size);
  if (fraction != 0) {
    size += std::snprintf(buffer.data() + used, buffer.size() - used, ".%06d", fraction);
  }
  return std::string(buffer.data(), static_cast<size_t>(size)) + "Z";
}

Result<Time> parse_rfc3339(std::string_view text) {
  using namespace std::chrono;
  const int y = read_digits(text, 0, 4), mo = read_digits(text, 5, 2), d = read_digits(text, 8, 2);
  const int h = read_digits(text, 11, 2), mi = read_digits(text, 14, 2),
            s = read_digits(text, 17, 2);
  const bool shape = has(text, 4, '-') && has(text, 7, '-') &&
                     (has(text, 10, 'T') || has(text, 10, 't') || has(text, 10, ' ')) &&
                     has(text, 13, ':') && has(text, 16, ':');
  const year_month_day date(year(y), month(static_cast<unsigned>(mo)),
                            day(static_cast<unsigned>(d)));
  if (!shape || y < 0 || mo < 0 || d < 0 || !date.ok() || h < 0 || h > 23 || mi < 0 || mi > 59 ||
      s < 0 || s > 60) {
    return not_a_time(text);
  }
  size_t at = 19;
  int64_t fraction = 0;
  if (has(text, at, '.')) {
    int digits = 0;
    for (++at; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, ++digits) {
      if (digits < 6) fraction = fraction * 10 + (text[at] - '0');
    }
    if (digits == 0 || digits > 9) return not_a_time(text);
    for (; digits < 6; ++digits) fraction *= 10;
  }
  minutes offset{0};
  if (at + 1 == text.size() && (text[at] == 'Z' || text[at] == 'z')) {
    // UTC.
  } else if (at + 6 == text.size() && (text[at] == '+' || text[at] == '-') &&
             has(text, at + 3, ':')) {
    const int oh = read_digits(text, at + 1, 2), om = read_digits(text, at + 4, 2);
    if (oh < 0 || oh > 23 || om < 0 || om > 59) return not_a_time(text);
    offset = hours(oh) + minutes(om);
    if (text[at] == '-') offset = -offset;
  } else {
    return not_a_time(text);
  }
  return Time(sys_days(date)) + hours(h) + minutes(mi) + seconds(s) + Duration(fraction) - offset;
}

}  // namespace nimbus
