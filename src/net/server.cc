#include "net/server.h"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>

#include "base/log.h"
#include "net/connection.h"
#include "net/listen_socket.h"
#include "net/server_core.h"

namespace nimbus::net {

namespace asio = boost::asio;

namespace {

constexpr int kAcceptsPerTurn = 64;
constexpr auto kAcceptPause = std::chrono::milliseconds(100);

// Deadlines are looked at by one timer for all connections, often enough to be at most an eighth
// late.
Duration tick_interval(const ServerOptions& options) {
  const Duration shortest =
      std::min({options.header_timeout, options.body_timeout, options.idle_timeout});
  return std::clamp<Duration>(shortest / 8, std::chrono::milliseconds(5), std::chrono::seconds(1));
}

}  // namespace

struct Server::State {
  State(Loop& loop, Router router, ServerOptions options, const ListenSocket& listening)
      : core(std::make_shared<ServerCore>(loop, std::move(router), std::move(options))),
        listener(loop.context(), listening.fd),
        timer(loop.context()),
        port(listening.port),
        unix_path(listening.unix_path) {}

  std::shared_ptr<ServerCore> core;
  asio::posix::stream_descriptor listener;
  asio::steady_timer timer;
  uint16_t port;
  std::string unix_path;
  bool stopped = false;

  void stop_accepting() {
    if (!listener.is_open()) return;
    boost::system::error_code ignored;
    listener.close(ignored);
    if (!unix_path.empty()) unlink(unix_path.c_str());
  }

  void abort_all() {
    for (Connection* connection : core->connections) connection->abort();
  }

  static Task<void> accept_all(std::shared_ptr<State> state);
  static Task<void> tick(std::shared_ptr<State> state);
  bool accept_some();  // false: out of descriptors, pause
  void take(const Accepted& accepted);
};

void Server::State::take(const Accepted& accepted) {
  using Protocol = asio::generic::stream_protocol;
  Transport::Socket socket(core->loop.context());
  boost::system::error_code failed;
  socket.assign(Protocol(accepted.family, 0), accepted.fd, failed);
  if (failed) {
    close(accepted.fd);
    return;
  }
  auto connection =
      std::make_shared<Connection>(core, std::move(socket), accepted.address, accepted.loopback);
  core->loop.spawn(connection->run(), "connection");
}

bool Server::State::accept_some() {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    if (core->connections.size() >= core->options.connections_max) return true;
    const Accepted accepted = accept_one(listener.native_handle());
    if (accepted.fd >= 0) {
      take(accepted);
      continue;
    }
    if (accepted.error == EMFILE || accepted.error == ENFILE || accepted.error == ENOMEM ||
        accepted.error == ENOBUFS) {
      log_warn("cannot accept connections", {{"errno", accepted.error}});
      return false;
    }
    if (accepted.error == EAGAIN || accepted.error == EWOULDBLOCK) return true;
  }
  return true;
}

Task<void> Server::State::accept_all(std::shared_ptr<State> state) {
  ServerCore& core = *state->core;
  while (state->listener.is_open()) {
    // Full: the rest waits in the kernel's queue.
    while (core.connections.size() >= core.options.connections_max && state->listener.is_open()) {
      co_await core.connection_closed.wait(std::chrono::seconds(1));
    }
    if (!state->listener.is_open()) break;
    const auto [ec] =
        co_await state->listener.async_wait(asio::posix::stream_descriptor::wait_read, kAwait);
    if (ec) break;
    if (!state->accept_some()) co_await core.loop.sleep(kAcceptPause);
  }
}

Task<void> Server::State::tick(std::shared_ptr<State> state) {
  const Duration interval = tick_interval(state->core->options);
  while (!state->stopped) {
    state->timer.expires_after(interval);
    co_await state->timer.async_wait(kAwait);
    const Duration now = steady_now();
    for (Connection* connection : state->core->connections) connection->tick(now);
  }
}

Server::Server(std::shared_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<Server>> Server::listen(Loop& loop, Router router, ServerOptions options) {
  // sendfile has no MSG_NOSIGNAL: a peer that leaves must not end the process.
  std::signal(SIGPIPE, SIG_IGN);
  TlsContext tls;
  if (options.tls) tls = TRY(make_server_tls(options.tls->certificate, options.tls->key));
  const ListenSocket listening = options.listen_fd >= 0
                                     ? TRY(adopt_listening(options.listen_fd))
                                     : TRY(listen_on(options.address, options.port));
  auto state = std::make_shared<State>(loop, std::move(router), std::move(options), listening);
  state->core->tls = std::move(tls);
  loop.spawn(State::accept_all(state), "accept");
  loop.spawn(State::tick(state), "deadlines");
  return std::unique_ptr<Server>(new Server(std::move(state)));
}

Server::~Server() {
  state_->stopped = true;
  state_->core->draining = true;
  state_->stop_accepting();
  state_->abort_all();
  state_->timer.cancel();
}

uint16_t Server::port() const { return state_->port; }

Result<void> Server::reload_tls() {
  const auto& files = state_->core->options.tls;
  if (!files) return fail(Code::bad_request, "this server has no TLS certificate to reload");
  state_->core->tls = TRY(make_server_tls(files->certificate, files->key));
  return {};
}

Task<void> Server::drain(Duration deadline) {
  // The server may be destroyed while this waits.
  const auto state = state_;
  state->core->draining = true;
  state->stop_accepting();
  for (Connection* connection : state->core->connections) connection->drain();
  const Duration end = steady_now() + deadline;
  while (!state->core->connections.empty()) {
    const Duration left = end - steady_now();
    if (left <= Duration(0)) break;
    co_await state->core->connection_closed.wait(left);
  }
  state->abort_all();
}

}  // namespace nimbus::net
