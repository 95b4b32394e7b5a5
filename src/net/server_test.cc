#include "net/server.h"

#include <doctest/doctest.h>

#include "net/net_fixture.h"

using namespace nimbus;
using namespace nimbus::net;

TEST_CASE("a connection is kept and carries many requests") {
  RunningServer running(echo_router());
  RawPeer peer(running);
  for (int i = 0; i < 5; ++i) {
    peer.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(status_of(peer.read_until("hello")) == 200);
  }
}

TEST_CASE("pipelined requests are answered in order") {
  RunningServer running(echo_router());
  std::string requests;
  for (int i = 0; i < 20; ++i) {
    requests += "GET /path/v" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\n\r\n";
  }
  requests += "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nlast";
  const std::string answers = ask(running, requests, "last");
  size_t at = 0;
  for (int i = 0; i < 20; ++i) {
    at = answers.find("\r\n\r\nv" + std::to_string(i), at);
    REQUIRE(at != std::string::npos);
  }
}

TEST_CASE("a client that asks for it has its connection closed") {
  RunningServer running(echo_router());
  const std::string close =
      ask(running, "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  CHECK(close.find("Connection: close") != std::string::npos);
  const std::string old = ask(running, "GET /hello HTTP/1.0\r\n\r\n");
  CHECK(status_of(old) == 200);
}

TEST_CASE("HEAD is answered like GET, without the body") {
  RunningServer running(echo_router());
  const std::string answer =
      ask(running, "HEAD /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  CHECK(answer.find("Content-Length: 5\r\n") != std::string::npos);
  CHECK(answer.ends_with("\r\n\r\n"));
}

TEST_CASE("an unknown path gets 404 and a known one with another method 405 with Allow") {
  RunningServer running(echo_router());
  CHECK(get(running.url("/nowhere"))->status == 404);
  const auto answer = get(running.url("/echo"));
  REQUIRE(answer);
  CHECK(answer->status == 405);
  CHECK(answer->headers.find("Allow") == "POST");
  CHECK(answer->headers.find("Content-Type") == "application/problem+json");
}

TEST_CASE("a slash that is escaped stays inside its segment") {
  RunningServer running(echo_router());
  CHECK(get(running.url("/path/a%2Fb"))->body == "a/b");
}

TEST_CASE("a sane request id is given back and another one replaced") {
  RunningServer running(echo_router());
  ClientRequest request;
  request.url = running.url("/hello");
  request.headers.set("X-Request-Id", "abc-1.2_Z");
  CHECK(send_request(request)->headers.find("X-Request-Id") == "abc-1.2_Z");
  request.headers.set("X-Request-Id", "a b<script>");
  const auto answer = send_request(request);
  REQUIRE(answer);
  CHECK(answer->headers.find("X-Request-Id")->size() == 16);
}

TEST_CASE("an exception that leaves a handler becomes a 500 that names the request only") {
  Router router;
  router.get("/throws", [](Request&) -> Task<Response> {
    throw std::runtime_error("secret detail");
    co_return Response::empty(200);
  });
  RunningServer running(std::move(router));
  const auto answer = get(running.url("/throws"));
  REQUIRE(answer);
  CHECK(answer->status == 500);
  CHECK(answer->body.find("secret detail") == std::string::npos);
}

TEST_CASE("a handler cannot be made to write header lines") {
  Router router;
  router.get("/split", [](Request&) -> Task<Response> {
    Response response = Response::text(200, "ok");
    response.headers.add("X-Bad", "a\r\nSet-Cookie: stolen=1");
    response.headers.add("X-Good", "b");
    co_return response;
  });
  RunningServer running(std::move(router));
  const auto answer = get(running.url("/split"));
  REQUIRE(answer);
  CHECK(!answer->headers.find("Set-Cookie"));
  CHECK(answer->headers.find("X-Good") == "b");
}

TEST_CASE("a large body arrives whole, sized and chunked") {
  RouteOptions large;
  large.body_bytes_max = 4 << 20;
  RunningServer running(echo_router(large));
  std::string body;
  for (int i = 0; body.size() < 3'000'000; ++i) body += std::to_string(i) + ",";
  ClientRequest request;
  request.method = "POST";
  request.body = body;
  for (const char* path : {"/echo", "/read"}) {
    request.url = running.url(path);
    const auto answer = send_request(request);
    REQUIRE(answer);
    CHECK(answer->body == body);
  }
  std::string chunked = "POST /read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 1000; ++i) chunked += "5;ext=1\r\nabcde\r\n";
  chunked += "0\r\n\r\nGET /path/end HTTP/1.1\r\nHost: x\r\n\r\n";
  const std::string answer = ask(running, chunked, "\r\n\r\nend");
  CHECK(answer.find("Content-Length: 5000\r\n") != std::string::npos);
}

TEST_CASE("a small body that the handler left unread does not end the connection") {
  RunningServer running(echo_router());
  RawPeer peer(running);
  peer.send("POST /ignore HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde");
  CHECK(status_of(peer.read_until("\r\n\r\n")) == 204);
  peer.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(status_of(peer.read_until("hello")) == 200);
}

TEST_CASE("requests are counted by pattern, method and status") {
  Metrics metrics;
  ServerOptions options;
  options.metrics = &metrics;
  RunningServer running(echo_router(), options);
  get(running.url("/path/one"));
  get(running.url("/path/two"));
  get(running.url("/nowhere"));
  const std::string text = metrics.expose();
  CHECK(text.find("nimbus_http_requests_total{method=\"GET\",pattern=\"/path/"
                  "{value}\",status=\"200\"} 2") != std::string::npos);
  CHECK(text.find("pattern=\"unmatched\",status=\"404\"} 1") != std::string::npos);
  CHECK(text.find("nimbus_http_request_seconds_count{pattern=\"/path/{value}\"} 2") !=
        std::string::npos);
}

TEST_CASE("a listening socket made elsewhere is adopted") {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  REQUIRE(listen(fd, 8) == 0);
  ServerOptions options;
  options.listen_fd = fd;
  RunningServer running(echo_router(), options);
  CHECK(running.server->port() != 0);
  CHECK(get(running.url("/hello"))->status == 200);
}

TEST_CASE("a port in use is told with its address and what to do") {
  RunningServer running(echo_router());
  Loop loop;
  ServerOptions options;
  options.port = running.server->port();
  const auto second = Server::listen(loop, Router(), options);
  REQUIRE(!second);
  CHECK(second.error().code == Code::unavailable);
  CHECK(second.error().message.find("127.0.0.1:" + std::to_string(options.port)) !=
        std::string::npos);
  CHECK(!second.error().hint.empty());
}
