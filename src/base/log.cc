#include "base/log.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>

#include "base/clock.h"
#include "base/json.h"

namespace nimbus {
namespace {

constexpr std::array<std::string_view, 4> kLevelNames = {"debug", "info", "warn", "error"};

std::atomic<LogLevel> level_min{LogLevel::info};
std::atomic<LogFormat> format_now{LogFormat::text};

std::string value_text(const LogField& field) {
  if (const auto* text = std::get_if<std::string>(&field.value)) return *text;
  if (const auto* number = std::get_if<int64_t>(&field.value)) return std::to_string(*number);
  if (const auto* flag = std::get_if<bool>(&field.value)) return *flag ? "true" : "false";
  std::array<char, 32> buffer{};
  const int size =
      std::snprintf(buffer.data(), buffer.size(), "%.6g", std::get<double>(field.value));
  return std::string(buffer.data(), static_cast<size_t>(size));
}

bool plain(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f) return false;
  }
  return true;
}

std::string json_line(std::string_view time, LogLevel level, std::string_view event,
                      LogFields fields) {
  std::string line = "{\"ts\":\"" + std::string(time) + "\",\"level\":\"" +
                     std::string(kLevelNames[static_cast<size_t>(level)]) +
                     "\",\"event\":" + json_quote(event);
  for (const LogField& field : fields) {
    line += ',' + json_quote(field.key) + ':';
    const bool text = std::holds_alternative<std::string>(field.value);
    line += text ? json_quote(std::get<std::string>(field.value)) : value_text(field);
  }
  return line + "}\n";
}

std::string text_line(std::string_view time, LogLevel level, std::string_view event,
                      LogFields fields) {
  std::string line =
      std::string(time) + ' ' + std::string(kLevelNames[static_cast<size_t>(level)]) + ' ';
  line += event;
  for (const LogField& field : fields) {
    const std::string value = value_text(field);
    line += ' ' + std::string(field.key) + '=' + (plain(value) ? value : json_quote(value));
  }
  return line + '\n';
}

}  // namespace

void configure_log(LogLevel level, LogFormat format) {
  level_min = level;
  format_now = format;
}

std::optional<LogLevel> find_log_level(std::string_view name) {
  for (size_t i = 0; i < kLevelNames.size(); ++i) {
    if (kLevelNames[i] == name) return static_cast<LogLevel>(i);
  }
  return std::nullopt;
}

bool log_enabled(LogLevel level) { return level >= level_min.load(std::memory_order_relaxed); }

void log(LogLevel level, std::string_view event, LogFields fields) {
  if (!log_enabled(level)) return;
  const std::string time = to_rfc3339(system_clock().now());
  const std::string line = format_now == LogFormat::json ? json_line(time, level, event, fields)
                                                         : text_line(time, level, event, fields);
  // One write keeps lines whole between threads; a log that cannot be written has nowhere to say
  // so.
  [[maybe_unused]] const ssize_t ignored = write(STDERR_FILENO, line.data(), line.size());
}

void log_error(std::string_view event, const Error& error) {
  if (error.hint.empty()) {
    log(LogLevel::error, event, {{"error", error.message}});
  } else {
    log(LogLevel::error, event, {{"error", error.message}, {"hint", error.hint}});
  }
}

}  // namespace nimbus
