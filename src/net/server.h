// The HTTP/1.1 server: keep-alive, pipelining one at a time, chunked bodies both ways, bounds on
// everything a client sends, deadlines for slow ones, TLS with certificates that reload, and a
// graceful drain. Framing errors (two lengths, length with chunking, bare LF, obs-fold) get 400 and
// the connection is closed.
//
// Threads: the loop's; `drain` from any.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/metrics.h"
#include "base/result.h"
#include "net/loop.h"
#include "net/router.h"

namespace nimbus::net {

constexpr size_t kHeaderBytesMax = size_t{32} * 1024;  // 431 past it
constexpr size_t kTargetBytesMax = size_t{8} * 1024;   // 414 past it

struct TlsFiles {
  std::string certificate;  // PEM chain
  std::string key;          // PEM
};

struct ServerOptions {
  std::string address = "127.0.0.1";
  uint16_t port = 0;   // 0: any free one, see Server::port
  int listen_fd = -1;  // adopt this listening socket instead (the gateway's, made in its namespace)
  std::optional<TlsFiles> tls;
  size_t connections_max = 16'384;
  Duration header_timeout = std::chrono::seconds(10);  // 408: whole head, from its first byte
  Duration body_timeout = std::chrono::seconds(30);    // 408: without progress
  Duration idle_timeout = std::chrono::seconds(75);    // keep-alive, and writes without progress
  Metrics* metrics =
      nullptr;  // nimbus_http_requests_total{pattern,method,status}, …_seconds{pattern}
};

class Server {
 public:
  // Listens at once; connections are served while the loop runs. unavailable: the address cannot be
  // bound (the message names it); bad_request: the TLS files are unusable.
  static Result<std::unique_ptr<Server>> listen(Loop& loop, Router router, ServerOptions options);
  ~Server();

  uint16_t port() const;
  // Reads certificate and key again; the old ones stay in use when the new ones are unusable.
  Result<void> reload_tls();
  // Stops accepting, lets requests in progress end (streams are told peer_gone), closes idle
  // connections; ready when none is left or `deadline` has passed.
  Task<void> drain(Duration deadline);

 private:
  struct State;
  std::shared_ptr<State> state_;
  explicit Server(std::shared_ptr<State> state);
};

}  // namespace nimbus::net
