#include "net/client.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <unordered_map>

#include "net/client_exchange.h"
#include "net/tls.h"

namespace nimbus::net {

namespace asio = boost::asio;

struct Client::State {
  State(Loop& l, ClientOptions o) : loop(l), options(std::move(o)) {}
  Loop& loop;
  ClientOptions options;
  TlsContext tls;  // made at the first https request
  std::unordered_map<std::string, std::deque<std::unique_ptr<ClientConnection>>> idle;

  std::unique_ptr<ClientConnection> find_idle(const std::string& origin);
  void put_back(const std::string& origin, std::unique_ptr<ClientConnection> connection);
};

namespace {

// Ends an exchange at its deadline by closing its socket, whatever it waits for.
class Deadline {
 public:
  Deadline(asio::io_context& context, Duration after) : timer_(context) { begin(after); }
  void begin(Duration after) {
    if (after <= Duration(0)) return;
    timer_.expires_after(after);
    timer_.async_wait([state = state_](const boost::system::error_code& ec) {
      if (ec) return;
      state->passed = true;
      if (state->resolver) state->resolver->cancel();
      if (state->socket != nullptr) state->close();
      if (state->connection != nullptr) {
        state->connection->timed_out = true;
        state->connection->transport.close();
      }
    });
  }
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;
  ~Deadline() {
    watch_nothing();
    timer_.cancel();
  }

  void watch(asio::ip::tcp::resolver& resolver) { state_->resolver = &resolver; }
  void watch(Transport::Socket& socket) {
    watch_nothing();
    state_->socket = &socket;
  }
  void watch(ClientConnection& connection) {
    watch_nothing();
    state_->connection = &connection;
  }
  void watch_nothing() {
    state_->resolver = nullptr;
    state_->socket = nullptr;
    state_->connection = nullptr;
  }
  void lift() { timer_.cancel(); }
  bool passed() const { return state_->passed; }

 private:
  struct State {
    asio::ip::tcp::resolver* resolver = nullptr;
    Transport::Socket* socket = nullptr;
    ClientConnection* connection = nullptr;
    bool passed = false;
    void close() const {
      boost::system::error_code ignored;
      socket->close(ignored);
    }
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
  asio::steady_timer timer_;
};

bool peer_closed(Transport::Socket& socket) {
  char byte = 0;
  const ssize_t got = recv(socket.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  // Bytes nobody asked for are as bad as an end.
  return got >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

auto no_connection(const Url& url, const Deadline& deadline, const boost::system::error_code& ec) {
  const std::string why = deadline.passed() ? "timed out" : ec.message();
  return fail(Code::unavailable, "connecting to " + url.origin() + ": " + why);
}

using Endpoints = std::vector<asio::generic::stream_protocol::endpoint>;

Task<Result<Endpoints>> resolve(asio::io_context& context, const Url& url, Deadline& deadline) {
  Endpoints endpoints;
  if (!url.socket_path.empty()) {
    endpoints.emplace_back(asio::local::stream_protocol::endpoint(url.socket_path));
    co_return endpoints;
  }
  boost::system::error_code ec;
  const auto address = asio::ip::make_address(url.host, ec);
  if (!ec) {
    endpoints.emplace_back(asio::ip::tcp::endpoint(address, url.port));
    co_return endpoints;
  }
  asio::ip::tcp::resolver resolver(context);
  deadline.watch(resolver);
  const std::string port = std::to_string(url.port);
  const auto [failed, found] = co_await resolver.async_resolve(url.host, port, kAwait);
  deadline.watch_nothing();
  if (failed) co_return no_connection(url, deadline, failed);
  for (const auto& entry : found) endpoints.emplace_back(entry.endpoint());
  co_return endpoints;
}

Task<Result<std::unique_ptr<ClientConnection>>> connect(asio::io_context& context, const Url& url,
                                                        TlsContext tls, Deadline& deadline) {
  CO_TRY_ASSIGN(const Endpoints endpoints, co_await resolve(context, url, deadline));
  boost::system::error_code last = asio::error::host_not_found;
  for (const auto& endpoint : endpoints) {
    Transport::Socket socket(context);
    deadline.watch(socket);
    const auto [ec] = co_await socket.async_connect(endpoint, kAwait);
    deadline.watch_nothing();
    last = ec;
    if (deadline.passed()) break;
    if (ec) continue;
    if (url.socket_path.empty()) {
      boost::system::error_code ignored;
      socket.set_option(asio::ip::tcp::no_delay(true), ignored);
    }
    auto connection = std::make_unique<ClientConnection>(std::move(socket));
    // The exchange's own deadline bounds writes.
    if (!url.tls) co_return connection;
    deadline.watch(*connection);
    const auto failed = co_await connection->transport.connect_tls(tls, url.host);
    deadline.watch_nothing();
    if (!failed) co_return connection;
    if (const std::string& why = connection->transport.distrust(); !why.empty()) {
      co_return fail(Code::unavailable, "connecting to " + url.origin() + ": " +
                                            std::string(kDistrusted) + ": " + why);
    }
    last = failed;
    break;
  }
  co_return no_connection(url, deadline, last);
}

bool idempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE" ||
         method == "OPTIONS";
}

}  // namespace

std::unique_ptr<ClientConnection> Client::State::find_idle(const std::string& origin) {
  const auto found = idle.find(origin);
  if (found == idle.end()) return nullptr;
  auto& connections = found->second;
  while (!connections.empty()) {
    auto connection = std::move(connections.back());
    connections.pop_back();
    if (steady_now() - connection->idle_since > options.idle_time) continue;
    if (!peer_closed(connection->transport.socket())) return connection;
  }
  idle.erase(found);
  return nullptr;
}

void Client::State::put_back(const std::string& origin,
                             std::unique_ptr<ClientConnection> connection) {
  if (options.idle_per_origin == 0) return;
  connection->idle_since = steady_now();
  connection->used = true;
  auto& connections = idle[origin];
  connections.push_back(std::move(connection));
  if (connections.size() > options.idle_per_origin) connections.pop_front();
}

Client::Client(Loop& loop, ClientOptions options)
    : state_(std::make_shared<State>(loop, std::move(options))) {}
Client::~Client() = default;

namespace {

// One request and its answer, on a kept connection or a new one.
template <typename State>
Task<Result<void>> run(std::shared_ptr<State> state, const Url& url, Exchange& exchange,
                       bool deadline_ends_with_head) {
  const std::string origin = url.origin();
  if (url.tls && !state->tls) {
    CO_TRY_ASSIGN(state->tls, make_client_tls(state->options.ca_file));
  }
  Deadline deadline(state->loop.context(), exchange.request.timeout);
  if (deadline_ends_with_head) exchange.head_came = [&deadline] { deadline.lift(); };
  if (exchange.request.stall_timeout > Duration(0)) {
    exchange.waiting = [&deadline, after = exchange.request.stall_timeout](bool begins) {
      if (begins) {
        deadline.begin(after);
      } else {
        deadline.lift();
      }
    };
  }
  // What was read from a source cannot be sent again when a kept connection turns out closed.
  const bool sourced = exchange.request.body_source != nullptr;
  auto connection = sourced ? nullptr : state->find_idle(origin);
  for (;;) {
    if (connection == nullptr) {
      CO_TRY_ASSIGN(connection, co_await connect(state->loop.context(), url, state->tls, deadline));
    }
    deadline.watch(*connection);
    auto done = co_await run_exchange(*connection, exchange);
    deadline.watch_nothing();
    if (done && exchange.keep && !deadline.passed()) {
      state->put_back(origin, std::move(connection));
    }
    const bool stale = !done && connection->used && !exchange.answer_begun && !deadline.passed() &&
                       done.error().code == Code::unavailable;
    if (!stale || sourced || !idempotent(exchange.request.method)) co_return done;
    connection = nullptr;
  }
}

}  // namespace

Task<Result<ClientResponse>> Client::send(ClientRequest request) {
  CO_TRY_ASSIGN(const Url url, parse_url(request.url));
  std::string body;
  std::function<Task<bool>(std::string_view)> collect = [&body](std::string_view bytes) {
    body.append(bytes);
    return [](bool yes) -> Task<bool> { co_return yes; }(true);
  };
  Exchange exchange{request, url, {}, std::move(collect), {}, {}, state_->loop};
  CO_TRY(co_await run(state_, url, exchange, false));
  exchange.response.body = std::move(body);
  co_return std::move(exchange.response);
}

Task<Result<void>> Client::stream(ClientRequest request,
                                  std::function<void(const ClientResponse&)> on_head,
                                  std::function<bool(std::string_view)> on_bytes) {
  std::function<Task<bool>(std::string_view)> wrapped = [&on_bytes](std::string_view bytes) {
    return [](bool more) -> Task<bool> { co_return more; }(on_bytes(bytes));
  };
  co_return co_await stream_to(std::move(request), std::move(on_head), std::move(wrapped));
}

Task<Result<void>> Client::stream_to(ClientRequest request,
                                     std::function<void(const ClientResponse&)> on_head,
                                     std::function<Task<bool>(std::string_view)> on_bytes) {
  CO_TRY_ASSIGN(const Url url, parse_url(request.url));
  // A stream has no end to bound.
  request.answer_bytes_max = SIZE_MAX;
  Exchange exchange{request, url, std::move(on_head), std::move(on_bytes), {}, {}, state_->loop};
  co_return co_await run(state_, url, exchange, true);
}

}  // namespace nimbus::net
