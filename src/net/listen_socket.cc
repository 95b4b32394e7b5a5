#include "net/listen_socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace nimbus::net {
namespace {

constexpr int kBacklog = 4096;

uint16_t port_of(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET)
    return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
  if (address.ss_family == AF_INET6)
    return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
  return 0;
}

Error bind_error(const std::string& where, int error) {
  Error e = errno_error("listening on " + where, error);
  e.code = Code::unavailable;
  if (error == EADDRINUSE) e.hint = "another process listens there; stop it or choose another port";
  if (error == EACCES) e.hint = "choose a port from 1024 up, or allow the program to bind this one";
  return e;
}

Result<ListenSocket> listen_unix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return fail(Code::bad_request, "the socket's path is empty or over 107 bytes: " + path);
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  const auto* raw = reinterpret_cast<const sockaddr*>(&address);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail(bind_error(path, errno));
  // A socket file that nobody answers is a leftover of a killed process.
  if (connect(fd, raw, sizeof(address)) != 0 && errno == ECONNREFUSED) unlink(path.c_str());
  close(fd);
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (listener < 0) return fail(bind_error(path, errno));
  // Nobody may connect between bind and chmod.
  const mode_t before = umask(0177);
  const bool good = bind(listener, raw, sizeof(address)) == 0 && listen(listener, kBacklog) == 0;
  const int error = errno;
  umask(before);
  if (!good) {
    close(listener);
    return fail(bind_error(path, error));
  }
  return ListenSocket{listener, 0, path};
}

}  // namespace

Result<ListenSocket> listen_on(const std::string& address, uint16_t port) {
  if (address.starts_with("unix:")) return listen_unix(address.substr(5));
  std::string host = address;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const std::string where = address + ":" + std::to_string(port);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int looked = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (looked != 0) {
    return fail(Code::unavailable, "listening on " + where + ": " + gai_strerror(looked));
  }
  int error = EADDRNOTAVAIL;
  int fd = -1;
  for (const addrinfo* one = found; one != nullptr && fd < 0; one = one->ai_next) {
    fd = socket(one->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
      error = errno;
      continue;
    }
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, one->ai_addr, one->ai_addrlen) != 0 || listen(fd, kBacklog) != 0) {
      error = errno;
      close(fd);
      fd = -1;
    }
  }
  freeaddrinfo(found);
  if (fd < 0) return fail(bind_error(where, error));
  return adopt_listening(fd);
}

Result<ListenSocket> adopt_listening(int fd) {
  int listening = 0;
  socklen_t size = sizeof(listening);
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 || listening == 0) {
    return fail(Code::bad_request, "the given descriptor is not a listening socket");
  }
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  sockaddr_storage bound{};
  socklen_t bound_size = sizeof(bound);
  getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &bound_size);
  return ListenSocket{fd, port_of(bound), ""};
}

Accepted accept_one(int listen_fd) {
  sockaddr_storage peer{};
  socklen_t size = sizeof(peer);
  Accepted accepted;
  accepted.fd =
      accept4(listen_fd, reinterpret_cast<sockaddr*>(&peer), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (accepted.fd < 0) {
    accepted.error = errno;
    return accepted;
  }
  accepted.family = peer.ss_family;
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (peer.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(peer);
    inet_ntop(AF_INET, &in.sin_addr, text.data(), text.size());
    accepted.loopback = (ntohl(in.sin_addr.s_addr) >> 24) == 127;
  } else if (peer.ss_family == AF_INET6) {
    const auto& in6 = reinterpret_cast<const sockaddr_in6&>(peer).sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&in6)) {
      inet_ntop(AF_INET, &in6.s6_addr[12], text.data(), text.size());
      accepted.loopback = in6.s6_addr[12] == 127;
    } else {
      inet_ntop(AF_INET6, &in6, text.data(), text.size());
      accepted.loopback = IN6_IS_ADDR_LOOPBACK(&in6) != 0;
    }
  } else {
    accepted.loopback = true;
    return accepted;
  }
  accepted.address = text.data();
  const int on = 1;
  setsockopt(accepted.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return accepted;
}

}  // namespace nimbus::net
