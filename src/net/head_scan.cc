#include "net/head_scan.h"

#include <cstring>

namespace nimbus::net {

HeadScan::State HeadScan::feed(std::string_view bytes) {
  while (searched_ < bytes.size()) {
    const auto* found = static_cast<const char*>(
        std::memchr(bytes.data() + searched_, '\n', bytes.size() - searched_));
    if (found == nullptr) {
      searched_ = bytes.size();
      return State::more;
    }
    const auto position = static_cast<size_t>(found - bytes.data());
    if (position == line_start_ || bytes[position - 1] != '\r') return State::bad;
    const std::string_view line = bytes.substr(line_start_, position - 1 - line_start_);
    searched_ = line_start_ = position + 1;
    if (line.empty()) {
      // RFC 9112 2.2: empty lines before the request line are skipped; one is plenty, and it is
      // the caller who drops it.
      end_ = position + 1;
      return State::complete;
    }
    if (lines_ > 0 && (line[0] == ' ' || line[0] == '\t')) return State::bad;
    if (std::memchr(line.data(), '\r', line.size()) != nullptr) return State::bad;
    if (std::memchr(line.data(), '\0', line.size()) != nullptr) return State::bad;
    ++lines_;
  }
  return State::more;
}

}  // namespace nimbus::net
