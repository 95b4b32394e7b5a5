// Absolute URLs as the client takes them. Threads: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace nimbus::net {

struct Url {
  bool tls = false;
  std::string socket_path;  // http+unix: the socket; host and port are unused
  std::string host;         // without brackets
  uint16_t port = 80;
  std::string host_header;  // as it goes into Host
  std::string target = "/";

  // What may share a connection.
  std::string origin() const;
};

// http://host[:port]/…, https://…, http+unix://PERCENT-ENCODED-PATH/…. bad_request: another scheme,
// user information, a port out of range, or characters that cannot stand in a request line.
Result<Url> parse_url(std::string_view text);

}  // namespace nimbus::net
