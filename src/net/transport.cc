#include "net/transport.h"

#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/write.hpp>

namespace nimbus::net {

namespace asio = boost::asio;
// What one TLS write takes at once: a few records, so that progress is seen.
constexpr size_t kTlsWriteBytesMax = size_t{64} * 1024;
// Below this, joining the parts is cheaper than another TLS record and system call.
constexpr size_t kTlsJoinBytesMax = size_t{16} * 1024;

Transport::Transport(Socket socket) : socket_(std::make_unique<Socket>(std::move(socket))) {
  error_code ignored;
  socket_->native_non_blocking(true, ignored);
}

Task<Transport::error_code> Transport::accept_tls(std::shared_ptr<asio::ssl::context> context) {
  context_ = std::move(context);
  tls_ = std::make_unique<TlsStream>(std::move(*socket_), *context_);
  const auto [ec] = co_await tls_->async_handshake(asio::ssl::stream_base::server, kAwait);
  co_return ec;
}

Task<Transport::error_code> Transport::connect_tls(std::shared_ptr<asio::ssl::context> context,
                                                   std::string host) {
  context_ = std::move(context);
  tls_ = std::make_unique<TlsStream>(std::move(*socket_), *context_);
  error_code failed;
  tls_->set_verify_mode(asio::ssl::verify_peer, failed);
  tls_->set_verify_callback(
      [this, host, matches = asio::ssl::host_name_verification(host)](
          bool trusted, asio::ssl::verify_context& context) {
        if (!trusted) {
          const int error = X509_STORE_CTX_get_error(context.native_handle());
          distrust_ = X509_verify_cert_error_string(error);
        } else if (!matches(trusted, context)) {
          distrust_ = "it is not for the host " + host;
        }
        return distrust_.empty();
      },
      failed);
  if (failed) co_return failed;
  // Server name indication; an address is refused by it and needs none.
  SSL_set_tlsext_host_name(tls_->native_handle(), host.c_str());
  const auto [ec] = co_await tls_->async_handshake(asio::ssl::stream_base::client, kAwait);
  co_return ec;
}

Task<Transport::SizeResult> Transport::read_some(char* data, size_t size) {
  if (tls_) return tls_->async_read_some(asio::buffer(data, size), kAwait);
  return socket_->async_read_some(asio::buffer(data, size), kAwait);
}

Task<Transport::SizeResult> Transport::discard_some(char* data, size_t size) {
  return socket().async_read_some(asio::buffer(data, size), kAwait);
}

size_t Transport::read_ready(char* data, size_t size) {
  if (tls_) return 0;
  const ssize_t got = ::recv(socket_->native_handle(), data, size, MSG_DONTWAIT);
  return got > 0 ? static_cast<size_t>(got) : 0;
}

Task<Transport::error_code> Transport::write(std::string_view first, std::string_view second,
                                             std::string_view third) {
  std::array<std::string_view, 3> parts = {first, second, third};
  if (!tls_) co_return co_await write_plain(parts.data(), parts.size());
  std::string joined;
  if (first.size() + second.size() + third.size() <= kTlsJoinBytesMax) {
    joined.reserve(first.size() + second.size() + third.size());
    for (const auto part : parts) joined += part;
    parts = {joined, {}, {}};
  }
  for (std::string_view part : parts) {
    while (!part.empty()) {
      set_deadline(write_patience_);
      const auto [ec, size] = co_await tls_->async_write_some(
          asio::buffer(part.data(), std::min(part.size(), kTlsWriteBytesMax)), kAwait);
      if (ec) co_return ec;
      part.remove_prefix(size);
    }
  }
  clear_deadline();
  co_return error_code{};
}

Task<Transport::error_code> Transport::write_plain(std::string_view* parts, size_t count) {
  for (;;) {
    std::array<iovec, 3> pieces{};
    size_t used = 0;
    for (size_t i = 0; i < count; ++i) {
      if (parts[i].empty()) continue;
      pieces[used++] = {const_cast<char*>(parts[i].data()), parts[i].size()};
    }
    if (used == 0) {
      clear_deadline();
      co_return error_code{};
    }
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = used;
    const ssize_t sent = ::sendmsg(socket_->native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) {
        co_return error_code(errno, boost::system::system_category());
      }
      set_deadline(write_patience_);
      const auto [ec] = co_await socket_->async_wait(Socket::wait_write, kAwait);
      if (ec) co_return ec;
      continue;
    }
    auto left = static_cast<size_t>(sent);
    for (size_t i = 0; i < count && left > 0; ++i) {
      const size_t part = std::min(left, parts[i].size());
      parts[i].remove_prefix(part);
      left -= part;
    }
  }
}

Task<Transport::SizeResult> Transport::send_file(int fd, uint64_t offset, size_t size) {
  auto position = static_cast<off_t>(offset);
  size_t done = 0;
  while (done < size) {
    const ssize_t sent = ::sendfile(socket_->native_handle(), fd, &position, size - done);
    if (sent == 0) break;
    if (sent > 0) {
      done += static_cast<size_t>(sent);
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) {
      co_return SizeResult(error_code(errno, boost::system::system_category()), done);
    }
    set_deadline(write_patience_);
    const auto [ec] = co_await socket_->async_wait(Socket::wait_write, kAwait);
    if (ec) co_return SizeResult(ec, done);
  }
  clear_deadline();
  co_return SizeResult(error_code{}, done);
}

Task<void> Transport::shutdown_send() {
  if (tls_) co_await tls_->async_shutdown(kAwait);
  error_code ignored;
  socket().shutdown(Socket::shutdown_send, ignored);
}

void Transport::cancel() {
  error_code ignored;
  socket().cancel(ignored);
}

void Transport::close() {
  error_code ignored;
  socket().close(ignored);
}

void Transport::expire_if_due(Duration now) {
  if (now < deadline_) return;
  deadline_ = Duration::max();
  expired_ = true;
  cancel();
}

}  // namespace nimbus::net
