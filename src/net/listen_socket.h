// Listening sockets as file descriptors, and the peers they accept. Private to this folder.
// Threads: any; `listen_on` may block on name look-up and belongs to start-up.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace nimbus::net {

struct ListenSocket {
  int fd = -1;  // non-blocking, close-on-exec; the caller's
  uint16_t port = 0;
  std::string unix_path;  // to unlink at the end
};

// `address`: an IP address, a host name, or "unix:/path" (a stale socket there is replaced; mode
// 0600). unavailable: cannot be bound; the message names address and port.
Result<ListenSocket> listen_on(const std::string& address, uint16_t port);
// Takes over a socket that listens already.
Result<ListenSocket> adopt_listening(int fd);

struct Accepted {
  int fd = -1;
  int family = 0;
  int error = 0;  // errno when fd < 0
  std::string address;
  bool loopback = false;  // or a Unix socket
};
Accepted accept_one(int listen_fd);

}  // namespace nimbus::net
