// The body of Azure's Put Block List: an XML list of block ids, in the order that makes the blob.
//
// Threads: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace nimbus::cache {

constexpr size_t kBlockListBytesMax = size_t{8} << 20;

// bad_request: not such a list, too long, or an element other than Latest, Uncommitted, Committed.
Result<std::vector<std::string>> parse_block_list(std::string_view xml);

}  // namespace nimbus::cache
