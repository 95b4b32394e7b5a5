#include "net/file_response.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>

#include "net/net_fixture.h"

namespace nimbus::net {
namespace {

// A file of `size` bytes without a name.
FileBody make_file(const std::string& bytes) {
  std::string name = "/tmp/net-file-XXXXXX";
  const int fd = ::mkstemp(name.data());
  REQUIRE(fd >= 0);
  ::unlink(name.c_str());
  REQUIRE(::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  std::shared_ptr<const void> owner(nullptr, [fd](const void*) { ::close(fd); });
  return {fd, std::move(owner), 0, bytes.size()};
}

std::string letters(size_t size) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>('a' + i / 7 % 26);
  return bytes;
}

Router file_router(const std::string& bytes) {
  Router router;
  const FileBody file = make_file(bytes);
  router.get("/file", [file](Request& request) -> Task<Response> {
    co_return file_response(request, file, {.etag = "\"tag\""});
  });
  router.get("/short", [file](Request& request) -> Task<Response> {
    FileBody longer = file;
    longer.size += 100;
    co_return file_response(request, longer, {});
  });
  router.get("/stream", [bytes](Request&) -> Task<Response> {
    Response response = Response::streamed("text/plain", [bytes](BodyWriter& out) -> Task<void> {
      co_await out.write(bytes.substr(0, 5));
      co_await out.write(bytes.substr(5));
    });
    response.stream_bytes = bytes.size();
    co_return response;
  });
  router.put(
      "/take",
      [](Request& request) -> Task<Response> { co_return Response::text(200, request.body); },
      {.body_bytes_max = size_t{64} << 20});
  return router;
}

ClientRequest file_request(const RunningServer& running, Headers headers,
                           const std::string& method = "GET") {
  ClientRequest request;
  request.method = method;
  request.url = running.url("/file");
  request.headers = std::move(headers);
  return request;
}

}  // namespace

TEST_CASE("a file is answered whole, small and large") {
  for (const size_t size : {size_t{0}, size_t{10}, size_t{64} << 10, (size_t{5} << 20) + 3}) {
    const std::string bytes = letters(size);
    RunningServer running(file_router(bytes));
    const auto answer = send_request(file_request(running, {}));
    REQUIRE(answer);
    CHECK(answer->status == 200);
    CHECK(answer->body == bytes);
    CHECK(answer->headers.find("ETag") == "\"tag\"");
    CHECK(answer->headers.find("Accept-Ranges") == "bytes");
  }
}

TEST_CASE("one range is answered with its bytes") {
  const std::string bytes = letters(200'000);
  RunningServer running(file_router(bytes));
  const auto get_range = [&](std::string_view range) {
    const auto answer = send_request(file_request(running, {{"Range", range}}));
    REQUIRE(answer);
    return *answer;
  };
  const auto first = get_range("bytes=0-99999");
  CHECK(first.status == 206);
  CHECK(first.body == bytes.substr(0, 100'000));
  CHECK(first.headers.find("Content-Range") == "bytes 0-99999/200000");
  CHECK(get_range("bytes=199999-").body == bytes.substr(199'999));
  CHECK(get_range("bytes=-5").body == bytes.substr(199'995));
  CHECK(get_range("bytes=5-999999").body == bytes.substr(5));
  CHECK(get_range("bytes=200000-").status == 416);
  CHECK(get_range("bytes=200000-").headers.find("Content-Range") == "bytes */200000");
  CHECK(get_range("bytes=-0").status == 416);
}

TEST_CASE("ranges that are not one range are ignored") {
  RunningServer running(file_router("0123456789"));
  for (const char* range : {"bytes=5-2", "bytes=a-b", "bytes=-", "bytes", "lines=1-2",
                            "bytes=0-1,3-4", "bytes=99999999999999999999-"}) {
    const auto answer = send_request(file_request(running, {{"Range", range}}));
    REQUIRE(answer);
    CHECK(answer->status == 200);
    CHECK(answer->body == "0123456789");
  }
}

TEST_CASE("validators: what the client has is not sent again, what changed is sent whole") {
  RunningServer running(file_router("0123456789"));
  const auto ask_with = [&](Headers headers) {
    const auto answer = send_request(file_request(running, std::move(headers)));
    REQUIRE(answer);
    return *answer;
  };
  CHECK(ask_with({{"If-None-Match", "\"x\", W/\"tag\""}}).status == 304);
  CHECK(ask_with({{"If-None-Match", "*"}}).status == 304);
  CHECK(ask_with({{"If-None-Match", "\"x\""}}).status == 200);
  CHECK(ask_with({{"Range", "bytes=1-2"}, {"If-Range", "\"tag\""}}).body == "12");
  CHECK(ask_with({{"Range", "bytes=1-2"}, {"If-Range", "\"old\""}}).status == 200);
}

TEST_CASE("HEAD tells the length and sends no body") {
  RunningServer running(file_router("0123456789"));
  const auto answer = send_request(file_request(running, {}, "HEAD"));
  REQUIRE(answer);
  CHECK(answer->status == 200);
  CHECK(answer->headers.find("Content-Length") == "10");
  CHECK(answer->body.empty());
}

TEST_CASE("a file that is shorter than its head says is never taken for whole") {
  for (const size_t size : {size_t{10}, size_t{1} << 20}) {
    RunningServer running(file_router(letters(size)));
    CHECK_FALSE(get(running.url("/short")));
  }
}

TEST_CASE("a stream of known length is sent with it") {
  RunningServer running(file_router("0123456789"));
  const auto answer = get(running.url("/stream"));
  REQUIRE(answer);
  CHECK(answer->headers.find("Content-Length") == "10");
  CHECK(answer->body == "0123456789");
}

TEST_CASE("the client sends a file's part as its body") {
  const std::string bytes = letters((size_t{3} << 20) + 1);
  RunningServer running(file_router(bytes));
  ClientRequest request;
  request.method = "PUT";
  request.url = running.url("/take");
  request.file = make_file(bytes);
  request.file->offset = 5;
  request.file->size -= 5;
  const auto answer = send_request(request);
  REQUIRE(answer);
  CHECK(answer->body == bytes.substr(5));
}

TEST_CASE("a large body comes in large pieces and leaves the connection usable") {
  Router router;
  RouteOptions options{.body_bytes_max = size_t{64} << 20, .stream_body = true};
  router.put(
      "/count",
      [](Request& request) -> Task<Response> {
        size_t bytes = 0;
        for (;;) {
          auto piece = co_await request.reader->read();
          if (!piece) co_return problem(piece.error());
          if (piece->empty()) break;
          bytes += piece->size();
        }
        co_return Response::text(200, std::to_string(bytes));
      },
      options);
  RunningServer running(std::move(router));
  RawPeer peer(running);
  for (int i = 0; i < 2; ++i) {
    REQUIRE(peer.send("PUT /count HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n"));
    REQUIRE(peer.send(std::string(3'000'000, 'x')));
    CHECK(peer.read_until("3000000").find("200 OK") != std::string::npos);
  }
}

}  // namespace nimbus::net
