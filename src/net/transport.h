// One connected byte stream, TCP or Unix, with or without TLS, and its deadline. Writes go out at
// once when the socket takes them, without a turn of the loop. Private to this folder.
//
// Threads: the loop's. One read and one write may be under way at a time.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <string_view>
#include <tuple>

#include "base/task.h"
#include "base/time.h"

namespace nimbus::net {

constexpr auto kAwait = boost::asio::as_tuple(boost::asio::use_awaitable);

inline Duration steady_now() {
  return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch());
}

class Transport {
 public:
  using Socket = boost::asio::generic::stream_protocol::socket;
  using error_code = boost::system::error_code;
  using SizeResult = std::tuple<error_code, size_t>;

  explicit Transport(Socket socket);

  bool secure() const { return tls_ != nullptr; }
  Socket& socket() { return tls_ ? tls_->next_layer() : *socket_; }

  Task<error_code> accept_tls(std::shared_ptr<boost::asio::ssl::context> context);
  // Verifies that the certificate is `host`'s.
  Task<error_code> connect_tls(std::shared_ptr<boost::asio::ssl::context> context,
                               std::string host);
  // Why that did not trust the peer's certificate; "" when it is not for this that it failed.
  const std::string& distrust() const { return distrust_; }

  Task<SizeResult> read_some(char* data, size_t size);
  // Takes what comes and is of no use any more, as it was sent: under TLS, still encrypted.
  Task<SizeResult> discard_some(char* data, size_t size);
  // What has come already, without waiting; 0: nothing, an end, or TLS.
  size_t read_ready(char* data, size_t size);
  // All of the parts in order. Each piece that goes out moves the deadline by `write_patience`.
  Task<error_code> write(std::string_view first, std::string_view second = {},
                         std::string_view third = {});
  // Sends a file's part by sendfile; only without TLS. How much went: less than `size` when the
  // file ended. Moves the deadline as `write` does.
  Task<SizeResult> send_file(int fd, uint64_t offset, size_t size);
  // Ends the sending side: FIN, after close_notify under TLS.
  Task<void> shutdown_send();

  // Ends what waits with operation_aborted; the connection stays usable.
  void cancel();
  void close();
  bool is_open() { return socket().is_open(); }

  // Past the deadline `expire_if_due` cancels what waits, once, and `expired` says so.
  void set_deadline(Duration after) { deadline_ = steady_now() + after; }
  void set_write_patience(Duration patience) { write_patience_ = patience; }
  void clear_deadline() { deadline_ = Duration::max(); }
  bool expired() const { return expired_; }
  void clear_expired() { expired_ = false; }
  void expire_if_due(Duration now);

 private:
  using TlsStream = boost::asio::ssl::stream<Socket>;
  Task<error_code> write_plain(std::string_view* parts, size_t count);

  std::unique_ptr<Socket> socket_;  // until it moves into tls_
  std::shared_ptr<boost::asio::ssl::context> context_;
  std::unique_ptr<TlsStream> tls_;
  Duration deadline_ = Duration::max();
  Duration write_patience_ = std::chrono::seconds(60);
  bool expired_ = false;
  std::string distrust_;
};

}  // namespace nimbus::net
