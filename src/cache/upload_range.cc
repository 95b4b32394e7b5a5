#include "cache/upload_range.h"

#include <charconv>

namespace nimbus::cache {

std::optional<UploadRange> parse_content_range(std::string_view text) {
  constexpr std::string_view kUnit = "bytes ";
  if (!text.starts_with(kUnit)) return std::nullopt;
  const char* at = text.data() + kUnit.size();
  const char* end = text.data() + text.size();
  int64_t first = 0;
  int64_t last = 0;
  const auto [dash, first_error] = std::from_chars(at, end, first);
  if (first_error != std::errc() || dash == end || *dash != '-') return std::nullopt;
  const auto [slash, last_error] = std::from_chars(dash + 1, end, last);
  if (last_error != std::errc() || slash == end || *slash != '/') return std::nullopt;
  if (first < 0 || last < first || last == INT64_MAX) return std::nullopt;
  return UploadRange{first, last - first + 1};
}

}  // namespace nimbus::cache
