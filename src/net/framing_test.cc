#include <doctest/doctest.h>

#include "net/net_fixture.h"

using namespace nimbus;
using namespace nimbus::net;
using namespace std::string_view_literals;

namespace {

// A request that two readers could cut at different places must end the connection, so that no byte
// after it is ever taken for a request.
void is_refused(std::string_view request, int status = 400) {
  RunningServer running(echo_router());
  const std::string smuggled = std::string(request) + "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
  const std::string answer = ask(running, smuggled);
  CHECK(status_of(answer) == status);
  CHECK(answer.find("Connection: close") != std::string::npos);
  CHECK(answer.find("application/problem+json") != std::string::npos);
  CHECK(answer.find("HTTP/1.1 200") == std::string::npos);  // no second answer
}

}  // namespace

TEST_CASE("Content-Length together with Transfer-Encoding is refused") {
  is_refused(
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: "
      "chunked\r\n\r\n0\r\n\r\n");
  is_refused(
      "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: "
      "4\r\n\r\n0\r\n\r\n");
}

TEST_CASE("two Content-Length fields are refused, equal ones too") {
  is_refused("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc");
  is_refused("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab");
  is_refused("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2, 2\r\n\r\nab");
}

TEST_CASE("a Content-Length that is not plain digits is refused") {
  for (const char* length : {"+2", "-2", "0x2", "2 2", "", "99999999999999999999999"}) {
    is_refused("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::string(length) +
               "\r\n\r\n");
  }
}

TEST_CASE("a folded header line is refused") {
  is_refused("GET /hello HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n folded\r\n\r\n");
  is_refused("GET /hello HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n\tTransfer-Encoding: chunked\r\n\r\n");
}

TEST_CASE("a line feed without its carriage return is refused") {
  is_refused("GET /hello HTTP/1.1\nHost: x\n\n");
  is_refused("GET /hello HTTP/1.1\r\nHost: x\nContent-Length: 4\r\n\r\n");
}

TEST_CASE("a carriage return alone and NUL are refused inside the head") {
  is_refused("GET /hello HTTP/1.1\r\nHost: x\r\nX-A: 1\rX-B: 2\r\n\r\n");
  is_refused("GET /hello HTTP/1.1\r\nHost: x\r\nX-A: a\0b\r\n\r\n"sv);
}

TEST_CASE("a space before a field's colon is refused") {
  is_refused("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length : 4\r\n\r\nabcd");
}

TEST_CASE("a transfer encoding other than chunked is refused") {
  for (const char* encoding : {"gzip, chunked", "chunked, chunked", "identity", "xchunked", ""}) {
    is_refused("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: " + std::string(encoding) +
                   "\r\n\r\n",
               501);
  }
}

TEST_CASE("chunking in an HTTP/1.0 request is refused") {
  is_refused("POST /echo HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501);
}

TEST_CASE("a malformed chunk is refused") {
  const std::string head = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  is_refused(head + "zz\r\nabc\r\n0\r\n\r\n");
  is_refused(head + "3\r\nabcd\r\n0\r\n\r\n");
  is_refused(head + "3\nabc\r\n0\r\n\r\n");
  is_refused(head + "ffffffffffffffffff\r\nabc\r\n0\r\n\r\n", 400);
}

TEST_CASE("a request without exactly one Host is refused") {
  is_refused("GET /hello HTTP/1.1\r\n\r\n");
  is_refused("GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
}

TEST_CASE("a target that could leave its folder is refused") {
  for (const char* path : {"/a/../b", "/a/./b", "/a//b", "/a/%2e%2e/b", "/a%00b", "/a%2", "/a%zz",
                           "/path/x%2F..%2Fy", "*", "relative"}) {
    is_refused("GET " + std::string(path) + " HTTP/1.1\r\nHost: x\r\n\r\n");
  }
}

TEST_CASE("what is not HTTP is refused at once") {
  is_refused("\x16\x03\x01\x02\r\n\r\n");
  is_refused("GET /hello\r\n\r\n");
  is_refused("GET /hello HTTP/2.0\r\nHost: x\r\n\r\n");
}

TEST_CASE("a trailer of a chunked body is no header") {
  Router router;
  router.post("/who", [](Request& request) -> Task<Response> {
    co_return Response::text(200, request.headers.find("Authorization") ? "trailer" : "none");
  });
  RunningServer running(std::move(router));
  const std::string answer =
      ask(running,
          "POST /who HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
          "0\r\nAuthorization: Bearer x\r\n\r\n",
          "none");
  CHECK(answer.find("\r\n\r\nnone") != std::string::npos);
}

TEST_CASE("one empty line before a request is skipped") {
  RunningServer running(echo_router());
  CHECK(status_of(ask(running, "\r\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n", "hello")) == 200);
}

TEST_CASE("a chunked body that comes byte by byte is read") {
  RunningServer running(echo_router());
  RawPeer peer(running);
  for (const char c :
       std::string("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "3;x=y\r\nabc\r\n1\r\nd\r\n0\r\nA: b\r\n\r\n")) {
    peer.send({&c, 1});
    // Each byte is read by itself: the last one is answered only when none before it was lost.
    std::this_thread::yield();
  }
  CHECK(status_of(peer.read_until("abcd")) == 200);
}

TEST_CASE("a last chunk that comes in pieces is read") {
  for (const char* first : {"0", "0\r", "0\r\n", "0\r\n\r"}) {
    RunningServer running(echo_router());
    RawPeer peer(running);
    peer.send(
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nExpect: "
        "100-continue\r\n\r\n");
    peer.read_until("\r\n\r\n");
    const std::string whole = "0\r\n\r\n";
    const std::string rest = whole.substr(std::string_view(first).size());
    peer.send(first);
    for (const char c : rest) peer.send({&c, 1});
    CHECK(status_of(peer.read_until("\r\n\r\n")) == 200);
  }
}

TEST_CASE("a head that comes byte by byte is read") {
  RunningServer running(echo_router());
  RawPeer peer(running);
  for (const char c :
       std::string("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")) {
    peer.send({&c, 1});
  }
  CHECK(status_of(peer.read_until("abc")) == 200);
}
