// The request target of an HTTP request, taken apart and judged: the one place that decides whether
// a path from outside is sane. Threads: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace nimbus::net {

constexpr size_t kQueryFieldsMax = 256;

struct Target {
  std::string_view raw_path;  // as sent, percent-encoded; a view into the text that was parsed
  std::string path;           // decoded
  std::vector<std::pair<std::string, std::string>> query;  // decoded, in order
};

// Takes origin-form ("/path?query") and absolute-form ("http://host/path"). bad_request: another
// form, a fragment, a bad escape, NUL or another control character, or a decoded path with `//` or
// a dot segment (also when it was written with %2F or %2e).
Result<void> parse_target(std::string_view text, Target& target);

}  // namespace nimbus::net
