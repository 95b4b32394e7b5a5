#include "net/client.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "net/net_fixture.h"

using namespace nimbus;
using namespace nimbus::net;

namespace {

Router counting_router(std::atomic<int>& requests, Loop** loop = nullptr) {
  Router router = echo_router();
  router.get("/count", [&requests](Request&) -> Task<Response> {
    co_return Response::text(200, std::to_string(++requests));
  });
  router.get("/close", [](Request&) -> Task<Response> {
    Response response = Response::text(200, "bye");
    response.headers.set("Connection", "close");
    co_return response;
  });
  router.get("/never", [loop](Request&) -> Task<Response> {
    co_await (*loop)->sleep(std::chrono::seconds(600));
    co_return Response::empty(204);
  });
  return router;
}

// A server that plays a fixed script: sends `answer` to whoever connects, then closes.
class ScriptedServer {
 public:
  explicit ScriptedServer(std::string answer) : answer_(std::move(answer)) {
    fd_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    bind(fd_, reinterpret_cast<sockaddr*>(&address), size);
    listen(fd_, 8);
    getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~ScriptedServer() {
    shutdown(fd_, SHUT_RDWR);
    thread_.join();
    close(fd_);
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/"; }

 private:
  void serve() const {
    for (;;) {
      const int peer = accept(fd_, nullptr, nullptr);
      if (peer < 0) return;
      char request[4096];
      (void)recv(peer, request, sizeof(request), 0);
      (void)::send(peer, answer_.data(), answer_.size(), MSG_NOSIGNAL);
      close(peer);
    }
  }
  std::string answer_;
  int fd_;
  uint16_t port_;
  std::thread thread_;
};

}  // namespace

namespace {

class CountedPieces final : public BodyReader {
 public:
  explicit CountedPieces(int pieces, bool breaks = false) : left_(pieces), breaks_(breaks) {}
  Task<Result<std::string>> read() override {
    if (left_ == 0 && breaks_) co_return fail(Code::bad_request, "the source broke off");
    if (left_ == 0) co_return std::string();
    --left_;
    co_return std::string(1000, 'p');
  }

 private:
  int left_;
  bool breaks_;
};

Result<std::string> send_source(const RunningServer& running, BodyReader& source,
                                std::optional<uint64_t> size) {
  ClientRequest request;
  request.method = "POST";
  request.url = running.url("/read");
  request.body_source = &source;
  request.body_source_bytes = size;
  const auto answer = send_request(request);
  if (!answer) return fail(answer.error());
  return answer->body;
}

}  // namespace

TEST_CASE("a body is sent piece by piece from its source, sized or chunked") {
  RunningServer running(echo_router());
  CountedPieces sized(300), chunked(300);
  CHECK_EQ(send_source(running, sized, 300'000)->size(), 300'000);
  CHECK_EQ(send_source(running, chunked, std::nullopt)->size(), 300'000);
}

TEST_CASE("a source that breaks off ends the request, and the server takes no part for the whole") {
  RunningServer running(echo_router());
  CountedPieces sized(3, true), chunked(3, true);
  CHECK_FALSE(send_source(running, sized, 300'000).has_value());
  CHECK_FALSE(send_source(running, chunked, std::nullopt).has_value());
}

TEST_CASE("the client sends method, fields and body and gives the answer back") {
  RunningServer running(echo_router());
  ClientRequest request;
  request.method = "POST";
  request.url = running.url("/echo?x=1");
  request.body = "hello";
  const auto answer = send_request(request);
  REQUIRE(answer);
  CHECK(answer->status == 200);
  CHECK(answer->body == "hello");
  CHECK(answer->headers.find("content-type") == "text/plain; charset=utf-8");
}

TEST_CASE("the client keeps a connection and goes on when the server has closed it") {
  std::atomic<int> requests = 0;
  ServerOptions options;
  options.idle_timeout = std::chrono::milliseconds(40);
  RunningServer running(counting_router(requests), options);
  const std::string url = running.url("/count");
  const int last = run_task<int>([url](Loop& loop) -> Task<int> {
    Client client(loop);
    ClientRequest request;
    request.url = url;
    int value = 0;
    for (int i = 0; i < 3; ++i) {
      auto answer = co_await client.send(request);
      if (answer) value = std::stoi(answer->body);
      if (i == 1) co_await loop.sleep(std::chrono::milliseconds(200));
    }
    co_return value;
  });
  CHECK(last == 3);
}

TEST_CASE("an answer that never comes is unavailable after the timeout") {
  std::atomic<int> requests = 0;
  Loop* loop = nullptr;
  RunningServer running(counting_router(requests, &loop));
  loop = &running.loop;
  ClientRequest request;
  request.url = running.url("/never");
  request.timeout = std::chrono::milliseconds(50);
  const auto answer = send_request(request);
  REQUIRE(!answer);
  CHECK(answer.error().code == Code::unavailable);
  CHECK(answer.error().message.find("timed out") != std::string::npos);
}

TEST_CASE("a server that is not there is unavailable and named") {
  const auto answer = get("http://127.0.0.1:1/");
  REQUIRE(!answer);
  CHECK(answer.error().code == Code::unavailable);
  CHECK(answer.error().message.find("127.0.0.1:1") != std::string::npos);
}

TEST_CASE("an answer over the bound is refused") {
  RunningServer running(echo_router());
  ClientRequest request;
  request.method = "POST";
  request.url = running.url("/echo");
  request.body = std::string(2000, 'x');
  request.answer_bytes_max = 1000;
  const auto answer = send_request(request);
  REQUIRE(!answer);
  CHECK(answer.error().code == Code::too_large);
}

TEST_CASE("an answer without a length lasts until the server closes") {
  ScriptedServer server("HTTP/1.1 200 OK\r\n\r\nuntil the end");
  CHECK(get(server.url())->body == "until the end");
}

TEST_CASE("an answer that breaks off is unavailable") {
  for (const char* answer : {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
                             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
                             "HTTP/1.1 200 OK\r\nContent-", "HTTP/1.1 200 OK\nX: y\n\n", ""}) {
    ScriptedServer server(answer);
    const auto got = get(server.url());
    REQUIRE(!got);
    CHECK(got.error().code == Code::unavailable);
  }
}

TEST_CASE("interim answers are skipped") {
  ScriptedServer server(
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n"
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  const auto answer = get(server.url());
  REQUIRE(answer);
  CHECK(answer->body == "ok");
  CHECK(!answer->headers.find("X"));
}

TEST_CASE("a request that would forge header lines is not sent") {
  RunningServer running(echo_router());
  ClientRequest request;
  request.url = running.url("/hello");
  request.headers.set("X-A", "1\r\nX-B: 2");
  CHECK(send_request(request).error().code == Code::bad_request);
  request.headers.clear();
  request.method = "GET /hello HTTP/1.1\r\nX: y\r\n\r\n";
  CHECK(send_request(request).error().code == Code::bad_request);
}

TEST_CASE("a Unix socket is served and asked") {
  const std::string path =
      std::filesystem::temp_directory_path() / ("nimbus-net-" + std::to_string(getpid()) + ".sock");
  ServerOptions options;
  options.address = "unix:" + path;
  {
    RunningServer running(echo_router(), options);
    const auto answer = get("http+unix://" + percent_encode(path) + "/hello");
    REQUIRE(answer);
    CHECK(answer->body == "hello");
    CHECK((std::filesystem::status(path).permissions() & std::filesystem::perms::others_all) ==
          std::filesystem::perms::none);
  }
  CHECK(!std::filesystem::exists(path));
}

TEST_CASE("a stream is handed on as it comes and can be left") {
  std::atomic<bool> ended = false;
  Router router;
  router.get("/stream", [&ended](Request&) -> Task<Response> {
    co_return Response::streamed("text/plain", [&ended](BodyWriter& writer) -> Task<void> {
      const std::string piece = "piece";
      while (co_await writer.write(piece)) {
      }
      ended = true;
    });
  });
  RunningServer running(std::move(router));
  const std::string url = running.url("/stream");
  const auto seen =
      run_task<std::pair<int, size_t>>([url](Loop& loop) -> Task<std::pair<int, size_t>> {
        Client client(loop);
        ClientRequest request;
        request.url = url;
        std::pair<int, size_t> out;
        std::function<void(const ClientResponse&)> on_head = [&out](const ClientResponse& head) {
          out.first = head.status;
        };
        std::function<bool(std::string_view)> on_bytes = [&out](std::string_view bytes) {
          out.second += bytes.size();
          return out.second < 100'000;
        };
        (void)co_await client.stream(std::move(request), std::move(on_head), std::move(on_bytes));
        co_return out;
      });
  CHECK(seen.first == 200);
  CHECK(seen.second >= 100'000);
  CHECK(wait_until([&] { return ended.load(); }));
}

TEST_CASE("a stream outlasts the timeout once its head is there") {
  Router router;
  Loop* loop = nullptr;
  router.get("/stream", [&loop](Request&) -> Task<Response> {
    co_return Response::streamed("text/plain", [&loop](BodyWriter& writer) -> Task<void> {
      const std::string piece = "x";
      for (int i = 0; i < 4; ++i) {
        co_await loop->sleep(std::chrono::milliseconds(40));
        if (!co_await writer.write(piece)) co_return;
      }
    });
  });
  RunningServer running(std::move(router));
  loop = &running.loop;
  const std::string url = running.url("/stream");
  const auto got = run_task<std::string>([url](Loop& own) -> Task<std::string> {
    Client client(own);
    ClientRequest request;
    request.url = url;
    request.timeout = std::chrono::milliseconds(100);
    std::string out;
    std::function<bool(std::string_view)> on_bytes = [&out](std::string_view bytes) {
      out += bytes;
      return true;
    };
    auto done = co_await client.stream(std::move(request), {}, std::move(on_bytes));
    co_return done ? out : done.error().message;
  });
  CHECK(got == "xxxx");
}
