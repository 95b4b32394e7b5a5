// Wall-clock instants and their text form. On the wire and in the database an instant is either
// RFC 3339 UTC text or integer microseconds since the Unix epoch; the name says which (`_us`).
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace nimbus {

using Duration = std::chrono::microseconds;
using Time = std::chrono::time_point<std::chrono::system_clock, Duration>;

constexpr int64_t to_us(Time time) { return time.time_since_epoch().count(); }
constexpr Time from_us(int64_t microseconds) { return Time(Duration(microseconds)); }
constexpr int64_t to_seconds(Time time) {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

// "2026-11-24T22:45:00.123456Z"; the fraction is left out when it is zero.
std::string to_rfc3339(Time time);
// Takes `Z` or a numeric offset, 0 to 9 fraction digits (cut to microseconds). bad_request
// otherwise.
Result<Time> parse_rfc3339(std::string_view text);

}  // namespace nimbus
