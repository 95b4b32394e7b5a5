// Whole small files, for /proc, /sys and /etc: read whole (a bound applies), written in one call.
#pragma once

#include <string>
#include <string_view>

namespace nimbus::guest {

constexpr size_t kFileBytesMax = size_t{4} << 20;

std::string read_file(const std::string& path);                   // "" when it cannot be read
bool write_file(const std::string& path, std::string_view text);  // false: see errno
bool append_file(const std::string& path, std::string_view text);

}  // namespace nimbus::guest
