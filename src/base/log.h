// The program's own log, on standard error: one line an event, as `key=value` text for people or as
// JSON for machines. Secrets never reach it (a Secret does not convert to a Field).
//
//   log_info("lease granted", {{"job", job}, {"fence", fence}, {"agent", agent}});
//
// Threads: any; a line is one write(2).
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"

namespace nimbus {

enum class LogLevel { debug, info, warn, error };
enum class LogFormat { text, json };

struct LogField {
  std::string_view key;
  std::variant<std::string, int64_t, double, bool> value;

  LogField(std::string_view k, std::string_view v) : key(k), value(std::string(v)) {}
  LogField(std::string_view k, const std::string& v) : key(k), value(v) {}
  LogField(std::string_view k, const char* v) : key(k), value(std::string(v)) {}
  LogField(std::string_view k, bool v) : key(k), value(v) {}
  LogField(std::string_view k, double v) : key(k), value(v) {}
  template <std::integral T>
  LogField(std::string_view k, T v) : key(k), value(static_cast<int64_t>(v)) {}
};

using LogFields = std::initializer_list<LogField>;

// Set once at start, before other threads run. Defaults: info, text.
void configure_log(LogLevel level, LogFormat format);
std::optional<LogLevel> find_log_level(std::string_view name);
bool log_enabled(LogLevel level);

void log(LogLevel level, std::string_view event, LogFields fields);
inline void log_debug(std::string_view event, LogFields fields = {}) {
  if (log_enabled(LogLevel::debug)) log(LogLevel::debug, event, fields);
}
inline void log_info(std::string_view event, LogFields fields = {}) {
  log(LogLevel::info, event, fields);
}
inline void log_warn(std::string_view event, LogFields fields = {}) {
  log(LogLevel::warn, event, fields);
}
inline void log_error(std::string_view event, LogFields fields = {}) {
  log(LogLevel::error, event, fields);
}
// An error with its hint, at level error; called once, at the top of the loop that gives up.
void log_error(std::string_view event, const Error& error);

}  // namespace nimbus
