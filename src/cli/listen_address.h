// "127.0.0.1:8080", "[::1]:8080": where the server listens, as flags and configuration write it.
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace nimbus::cli {

struct ListenAddress {
  std::string address;  // without brackets
  uint16_t port = 0;    // 0: a free one
};
// bad_request, with what is right as the hint.
Result<ListenAddress> parse_listen_address(std::string_view text);

}  // namespace nimbus::cli
