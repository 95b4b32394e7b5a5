#include "cli/listen_address.h"

#include <charconv>

namespace nimbus::cli {

Result<ListenAddress> parse_listen_address(std::string_view text) {
  const size_t colon = text.rfind(':');
  ListenAddress listen;
  const char* const last = text.data() + text.size();
  const char* const first = colon == text.npos ? last : text.data() + colon + 1;
  const auto [end, error] = std::from_chars(first, last, listen.port);
  if (colon == text.npos || error != std::errc() || end != last) {
    return fail(Code::bad_request, "'" + std::string(text) + "' is not ADDRESS:PORT",
                "write it like 127.0.0.1:8080 or [::1]:8080");
  }
  std::string_view address = text.substr(0, colon);
  if (address.starts_with('[') && address.ends_with(']')) {
    address = address.substr(1, address.size() - 2);
  }
  listen.address = std::string(address);
  return listen;
}

}  // namespace nimbus::cli
