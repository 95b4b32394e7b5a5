#include <doctest/doctest.h>

#include "net/net_fixture.h"

using namespace nimbus;
using namespace nimbus::net;

namespace {

constexpr auto kShort = std::chrono::milliseconds(60);

ServerOptions impatient() {
  ServerOptions options;
  options.header_timeout = options.body_timeout = options.idle_timeout = kShort;
  return options;
}

RouteOptions ten_bytes() {
  RouteOptions options;
  options.body_bytes_max = 10;
  return options;
}

}  // namespace

TEST_CASE("a head over 32 KiB gets 431") {
  RunningServer running(echo_router());
  const std::string answer = ask(
      running, "GET /hello HTTP/1.1\r\nHost: x\r\nX-Big: " + std::string(40'000, 'a') + "\r\n\r\n");
  CHECK(status_of(answer) == 431);
}

TEST_CASE("a head of 30 KiB is read") {
  RunningServer running(echo_router());
  const std::string answer = ask(
      running, "GET /hello HTTP/1.1\r\nHost: x\r\nX-Big: " + std::string(30'000, 'a') + "\r\n\r\n",
      "hello");
  CHECK(status_of(answer) == 200);
}

TEST_CASE("a target over 8 KiB gets 414") {
  RunningServer running(echo_router());
  CHECK(status_of(ask(running,
                      "GET /" + std::string(8200, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n")) == 414);
  CHECK(status_of(ask(running,
                      "GET /" + std::string(20'000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n")) == 414);
}

TEST_CASE("a body over its route's bound gets 413 before it is sent") {
  RunningServer running(echo_router(ten_bytes()));
  const std::string head = "POST /echo HTTP/1.1\r\nHost: x\r\n";
  CHECK(status_of(ask(running, head + "Content-Length: 11\r\n\r\n")) == 413);
  CHECK(status_of(ask(running, head + "Content-Length: 10\r\n\r\n0123456789", "0123456789")) ==
        200);
}

TEST_CASE("a chunked body over its route's bound gets 413") {
  RunningServer running(echo_router(ten_bytes()));
  const std::string head = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  CHECK(status_of(ask(running, head + "6\r\nabcdef\r\n6\r\nabcdef\r\n0\r\n\r\n")) == 413);
  CHECK(status_of(ask(running, head + "6\r\nabcdef\r\n4\r\nabcd\r\n0\r\n\r\n", "abcdefabcd")) ==
        200);
}

TEST_CASE("a client that sends a refused body still reads the answer") {
  RunningServer running(echo_router(ten_bytes()));
  RawPeer peer(running);
  peer.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n");
  peer.send(std::string(500'000, 'x'));
  CHECK(status_of(peer.read_to_end()) == 413);
}

TEST_CASE("a client that sends a large refused body to its end before it reads gets the answer") {
  RunningServer running(echo_router(ten_bytes()));
  RawPeer peer(running);
  constexpr size_t kSize = size_t{26} << 20;
  peer.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(kSize) +
            "\r\n\r\n");
  CHECK(peer.send(std::string(kSize, 'x')));
  CHECK(status_of(peer.read_to_end()) == 413);
}

TEST_CASE("a client that never stops sending what was refused is let go") {
  RunningServer running(echo_router(ten_bytes()));
  RawPeer peer(running);
  peer.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1099511627776\r\n\r\n");
  const std::string piece(size_t{1} << 20, 'x');
  int sent = 0;
  while (sent < 1024 && peer.send(piece)) ++sent;
  CHECK(sent < 1024);
}

TEST_CASE("100 is answered to a client that waits and may send") {
  RunningServer running(echo_router(ten_bytes()));
  RawPeer peer(running);
  peer.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  CHECK(peer.read_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
  peer.send("abc");
  CHECK(status_of(peer.read_until("abc")) == 200);
}

TEST_CASE("a client that waits with a body too large is refused without 100") {
  RunningServer running(echo_router(ten_bytes()));
  const std::string answer =
      ask(running,
          "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n");
  CHECK(status_of(answer) == 413);
}

TEST_CASE("a handler that does not read the streamed body spares the client sending it") {
  RunningServer running(echo_router());
  const std::string answer =
      ask(running,
          "POST /ignore HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n");
  CHECK(status_of(answer) == 204);
  CHECK(answer.find("Connection: close") != std::string::npos);
}

TEST_CASE("a slow head gets 408") {
  RunningServer running(echo_router(), impatient());
  const std::string answer = ask(running, "GET /hello HTTP/1.1\r\nHost:");
  CHECK(status_of(answer) == 408);
}

TEST_CASE("bytes that trickle do not extend the time a head has") {
  RunningServer running(echo_router(), impatient());
  RawPeer peer(running);
  peer.send("GET /hello HTTP/1.1\r\nX: ");
  // Ends when the server has given up on the connection.
  CHECK(wait_until([&] { return !peer.send("a"); }));
}

TEST_CASE("a body that stops coming gets 408") {
  RunningServer running(echo_router(), impatient());
  CHECK(status_of(ask(running, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")) ==
        408);
}

TEST_CASE("a streamed body that stops coming fails the handler's read") {
  RunningServer running(echo_router(), impatient());
  const std::string answer =
      ask(running, "POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc");
  CHECK(status_of(answer) == 400);
}

TEST_CASE("an idle connection is closed without an answer") {
  RunningServer running(echo_router(), impatient());
  RawPeer peer(running);
  CHECK(peer.closed());
}

TEST_CASE("connections over the limit wait for their turn") {
  ServerOptions options;
  options.connections_max = 1;
  RunningServer running(echo_router(), options);
  RawPeer first(running);
  first.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(status_of(first.read_until("hello")) == 200);
  RawPeer second(running);
  second.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  first.leave();
  CHECK(status_of(second.read_until("hello")) == 200);
}
