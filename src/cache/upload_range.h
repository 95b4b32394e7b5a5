// Where a chunk of the REST protocol's upload goes, as its Content-Range says it.
//
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace nimbus::cache {

struct UploadRange {
  int64_t offset = 0;
  int64_t size = 0;  // at least 1
};

// "bytes 0-1023/*"; nullopt: another form, or one that ends before it begins.
std::optional<UploadRange> parse_content_range(std::string_view text);

}  // namespace nimbus::cache
