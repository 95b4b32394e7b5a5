#include "telemetry/otlp.h"

#include <array>
#include <charconv>
#include <cmath>

#include "base/encoding.h"

namespace nimbus::telemetry {

std::string_view to_string(OtlpSignal signal) {
  switch (signal) {
    case OtlpSignal::traces: return "traces";
    case OtlpSignal::logs: return "logs";
    case OtlpSignal::metrics: return "metrics";
  }
  return {};
}

std::string otlp_text(std::string_view text) {
  const bool cut = text.size() > kOtlpTextBytesMax;
  if (cut) text = text.substr(0, kOtlpTextBytesMax);
  // A cut may fall inside a character.
  if (cut || !is_utf8(text)) return to_utf8_lossy(text);
  return std::string(text);
}

std::string otlp_number(double number, bool in_json) {
  if (!std::isfinite(number)) {
    const std::string name = std::isnan(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity";
    return in_json ? "\"" + name + "\"" : name;
  }
  std::array<char, 64> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  return std::string(digits.data(), end.ptr);
}

bool valid_id(std::string_view raw, size_t bytes) {
  return raw.size() == bytes && raw.find_first_not_of('\0') != std::string_view::npos;
}

}  // namespace nimbus::telemetry
