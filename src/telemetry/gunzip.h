// Decompression of what strangers send, bounded: a bomb costs its compressed size and the bound.
// Threads: pure function.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace nimbus::telemetry {

// gzip, any number of members. too_large: more than `bytes_max` comes out. bad_request: not gzip,
// or cut short.
Result<std::string> gunzip(std::string_view bytes, size_t bytes_max);

}  // namespace nimbus::telemetry
