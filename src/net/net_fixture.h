// For tests: a server on a loop of its own thread, and a raw blocking socket to talk to it with, so
// that a test decides every byte. Reads give up after ten seconds instead of hanging.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "net/client.h"
#include "net/server.h"

namespace nimbus::net {

class RunningServer {
 public:
  explicit RunningServer(Router router, ServerOptions options = {}) {
    auto listening = Server::listen(loop, std::move(router), std::move(options));
    if (!listening) throw std::runtime_error(listening.error().message);
    server = std::move(*listening);
    thread_ = std::thread([this] { loop.run(); });
  }
  ~RunningServer() {
    loop.stop();
    thread_.join();
  }
  RunningServer(const RunningServer&) = delete;
  RunningServer& operator=(const RunningServer&) = delete;

  std::string url(std::string_view path) const {
    return "http://127.0.0.1:" + std::to_string(server->port()) + std::string(path);
  }

  Loop loop;
  std::unique_ptr<Server> server;

 private:
  std::thread thread_;
};

class RawPeer {
 public:
  explicit RawPeer(const RunningServer& running) {
    fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(running.server->port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval patience{10, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
      throw std::runtime_error("cannot connect to the server under test");
    }
  }
  ~RawPeer() { leave(); }
  RawPeer(const RawPeer&) = delete;
  RawPeer& operator=(const RawPeer&) = delete;

  // False once the server has closed its end.
  bool send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  // All that comes until `mark` has been seen, or the server closes.
  std::string read_until(std::string_view mark) {
    std::string out;
    char piece[4096];
    while (out.find(mark) == std::string::npos) {
      const ssize_t got = recv(fd_, piece, sizeof(piece), 0);
      if (got <= 0) break;
      out.append(piece, static_cast<size_t>(got));
    }
    return out;
  }
  std::string read_to_end() { return read_until("\x01 never sent \x01"); }
  // True when the server closes without sending more.
  bool closed() {
    char byte = 0;
    return recv(fd_, &byte, 1, 0) == 0;
  }
  void leave() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

// One raw exchange on a connection of its own; the answer until the server closes or `mark`.
inline std::string ask(const RunningServer& running, std::string_view bytes,
                       std::string_view mark = "\x01 never sent \x01") {
  RawPeer peer(running);
  peer.send(bytes);
  return peer.read_until(mark);
}

inline int status_of(std::string_view answer) {
  if (!answer.starts_with("HTTP/1.1 ") || answer.size() < 12) return 0;
  return std::stoi(std::string(answer.substr(9, 3)));
}

// Runs a Task to its end on a loop made for it.
template <typename T>
T run_task(const std::function<Task<T>(Loop&)>& make) {
  Loop loop;
  std::optional<T> value;
  loop.spawn(
      [](const std::function<Task<T>(Loop&)>& task, Loop& l, std::optional<T>& out) -> Task<void> {
        out.emplace(co_await task(l));
        l.stop();
      }(make, loop, value),
      "test");
  loop.run();
  return std::move(*value);
}

// Sends one request with a client of its own.
inline Result<ClientResponse> send_request(ClientRequest request, ClientOptions options = {}) {
  return run_task<Result<ClientResponse>>(
      [request, options](Loop& loop) -> Task<Result<ClientResponse>> {
        Client client(loop, options);
        co_return co_await client.send(request);
      });
}

inline Result<ClientResponse> get(const std::string& url, ClientOptions options = {}) {
  ClientRequest request;
  request.url = url;
  return send_request(std::move(request), std::move(options));
}

// Waits for what another thread brings about; false after ten seconds.
inline bool wait_until(const std::function<bool()>& true_now) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!true_now()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

// POST /echo gives the body back, GET /path/{value} the parameter, POST /read the body it streams.
inline Router echo_router(RouteOptions options = {}) {
  Router router;
  router.post(
      "/echo",
      [](Request& request) -> Task<Response> { co_return Response::text(200, request.body); },
      options);
  router.get("/hello", [](Request&) -> Task<Response> { co_return Response::text(200, "hello"); });
  router.get("/path/{value}", [](Request& request) -> Task<Response> {
    co_return Response::text(200, request.parameter("value"));
  });
  RouteOptions streamed = options;
  streamed.stream_body = true;
  router.post(
      "/read",
      [](Request& request) -> Task<Response> {
        std::string all;
        for (;;) {
          auto piece = co_await request.reader->read();
          if (!piece) co_return problem(piece.error());
          if (piece->empty()) break;
          all += *piece;
        }
        co_return Response::text(200, all);
      },
      streamed);
  router.post(
      "/ignore", [](Request&) -> Task<Response> { co_return Response::empty(204); }, streamed);
  return router;
}

}  // namespace nimbus::net
