#include <doctest/doctest.h>

#include "net/net_fixture.h"

using namespace nimbus;
using namespace nimbus::net;

namespace {

constexpr std::string_view kGet = "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n";

Router stream_router(BodyStream stream) {
  Router router = echo_router();
  router.get("/stream", [stream](Request&) -> Task<Response> {
    co_return Response::streamed("text/plain", stream);
  });
  return router;
}

Task<void> three_pieces(BodyWriter& writer) {
  for (const char* piece : {"one", "two", "three"}) {
    if (!co_await writer.write(piece)) co_return;
  }
}

// Waits, as a live tail does, until there is something to say or nobody to say it to.
struct Tail {
  explicit Tail(Loop& loop) : news(loop) {}
  Notifier news;
  std::atomic<bool> started = false;
  std::atomic<bool> ended = false;

  Task<void> operator()(BodyWriter& writer) {
    writer.on_gone([this] { news.notify_all(); });
    std::string_view first = "begin";
    (void)co_await writer.write(first);
    started = true;
    while (!writer.peer_gone()) co_await news.wait(std::chrono::seconds(60));
    ended = true;
  }
};

struct TailServer {
  std::unique_ptr<Tail> tail;
  RunningServer running{stream_router([this](BodyWriter& writer) { return (*tail)(writer); })};
  TailServer() { tail = std::make_unique<Tail>(running.loop); }
};

}  // namespace

TEST_CASE("a streamed answer goes out in chunks and the connection is kept") {
  RunningServer running(stream_router(three_pieces));
  RawPeer peer(running);
  peer.send(kGet);
  const std::string answer = peer.read_until("\r\n0\r\n\r\n");
  CHECK(answer.find("Transfer-Encoding: chunked\r\n") != std::string::npos);
  CHECK(answer.ends_with("3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n"));
  peer.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(status_of(peer.read_until("hello")) == 200);
}

TEST_CASE("a request that was pipelined behind a stream is answered after it") {
  RunningServer running(stream_router(three_pieces));
  const std::string answers =
      ask(running, std::string(kGet) + "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", "hello");
  CHECK(answers.find("0\r\n\r\nHTTP/1.1 200") != std::string::npos);
}

TEST_CASE("an HTTP/1.0 client gets a stream without chunks") {
  RunningServer running(stream_router(three_pieces));
  const std::string answer = ask(running, "GET /stream HTTP/1.0\r\n\r\n");
  CHECK(answer.ends_with("\r\n\r\nonetwothree"));
}

TEST_CASE("HEAD of a streamed answer has no body") {
  RunningServer running(stream_router(three_pieces));
  const std::string answer =
      ask(running, "HEAD /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  CHECK(status_of(answer) == 200);
  CHECK(answer.ends_with("\r\n\r\n"));
}

TEST_CASE("a stream that cannot be completed ends without its end mark") {
  RunningServer running(stream_router([](BodyWriter& writer) -> Task<void> {
    std::string_view piece = "half";
    (void)co_await writer.write(piece);
    writer.break_off();
  }));
  CHECK(ask(running, kGet).ends_with("4\r\nhalf\r\n"));
}

TEST_CASE("a stream that throws ends without its end mark") {
  RunningServer running(stream_router([](BodyWriter& writer) -> Task<void> {
    std::string_view piece = "half";
    (void)co_await writer.write(piece);
    throw std::runtime_error("broken");
  }));
  CHECK(ask(running, kGet).ends_with("4\r\nhalf\r\n"));
}

TEST_CASE("a client that leaves a quiet stream is noticed") {
  TailServer under_test;
  RawPeer peer(under_test.running);
  peer.send(kGet);
  peer.read_until("begin");
  CHECK(wait_until([&] { return under_test.tail->started.load(); }));
  peer.leave();
  CHECK(wait_until([&] { return under_test.tail->ended.load(); }));
}

TEST_CASE("a reader that stops reading holds the writer back, then ends it") {
  std::atomic<size_t> written = 0;
  std::atomic<bool> ended = false;
  ServerOptions options;
  options.idle_timeout = std::chrono::milliseconds(80);
  RunningServer running(stream_router([&](BodyWriter& writer) -> Task<void> {
                          const std::string piece(64 * 1024, 'x');
                          while (co_await writer.write(piece)) written += piece.size();
                          ended = true;
                        }),
                        options);
  RawPeer peer(running);
  peer.send(kGet);
  CHECK(wait_until([&] { return ended.load(); }));
  CHECK(written < size_t{64} << 20);
}

TEST_CASE("a drain lets a request end, closes idle connections and ends streams") {
  TailServer under_test;
  RawPeer idle(under_test.running);
  RawPeer streaming(under_test.running);
  idle.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  idle.read_until("hello");
  streaming.send(kGet);
  streaming.read_until("begin");
  CHECK(wait_until([&] { return under_test.tail->started.load(); }));
  std::atomic<bool> drained = false;
  RunningServer& running = under_test.running;
  running.loop.post([&] {
    running.loop.spawn(
        [](RunningServer& r, std::atomic<bool>& done) -> Task<void> {
          co_await r.server->drain(std::chrono::seconds(60));
          done = true;
        }(running, drained),
        "drain");
  });
  CHECK(idle.closed());
  CHECK(streaming.read_to_end().ends_with("0\r\n\r\n"));
  CHECK(wait_until([&] { return drained.load(); }));
}

TEST_CASE("a drain gives up on a request at its deadline") {
  Notifier* never = nullptr;
  Router router;
  std::atomic<bool> entered = false;
  router.get("/stuck", [&](Request&) -> Task<Response> {
    entered = true;
    co_await never->wait(std::chrono::seconds(600));
    co_return Response::empty(204);
  });
  RunningServer running(std::move(router));
  Notifier notifier(running.loop);
  never = &notifier;
  RawPeer peer(running);
  peer.send("GET /stuck HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(wait_until([&] { return entered.load(); }));
  running.loop.post(
      [&] { running.loop.spawn(running.server->drain(std::chrono::milliseconds(20)), "drain"); });
  CHECK(peer.closed());
}
