#include "net/loop.h"

#include <doctest/doctest.h>

#include <thread>

#include "net/net_fixture.h"

using namespace nimbus;
using namespace nimbus::net;

TEST_CASE("blocking work runs on another thread and resumes on the loop") {
  const bool good = run_task<bool>([](Loop& loop) -> Task<bool> {
    const auto loop_thread = std::this_thread::get_id();
    std::function<std::thread::id()> call = [] { return std::this_thread::get_id(); };
    const auto worker = co_await loop.blocking<std::thread::id>(std::move(call));
    co_return worker != loop_thread&& std::this_thread::get_id() == loop_thread;
  });
  CHECK(good);
}

TEST_CASE("a thread that lets go of an answered call late does not stop what the loop runs next") {
  Loop loop;
  std::function<void()> kept;  // as a thread that was interrupted between answering and letting go
  loop.spawn(
      [](Loop& l, std::function<void()>& late) -> Task<void> {
        std::function<void(std::function<void()>)> start = [&late](std::function<void()> done) {
          late = done;
          done();
        };
        co_await await_callback(std::move(start));
        l.stop();
      }(loop, kept),
      "answered");
  loop.run();
  kept = nullptr;
  bool ran = false;
  loop.post([&ran] { ran = true; });
  loop.run();
  CHECK(ran);
}

TEST_CASE("a notification wakes every waiter at once") {
  Loop loop;
  Notifier notifier(loop);
  int woken = 0;
  auto wait = [](Notifier& n, int& count) -> Task<void> {
    if (co_await n.wait(std::chrono::seconds(600))) ++count;
  };
  loop.spawn(wait(notifier, woken), "first");
  loop.spawn(wait(notifier, woken), "second");
  loop.post([&] {
    CHECK(notifier.waiting() == 2);
    notifier.notify_all();
    CHECK(notifier.waiting() == 0);
  });
  loop.run();
  CHECK(woken == 2);
}

TEST_CASE("a wait without a notification ends at its timeout") {
  const bool notified = run_task<bool>([](Loop& loop) -> Task<bool> {
    Notifier notifier(loop);
    notifier.notify_all();  // nobody waits: not kept
    co_return co_await notifier.wait(std::chrono::milliseconds(1));
  });
  CHECK(!notified);
}

TEST_CASE("a loop can be destroyed while tasks wait") {
  auto loop = std::make_unique<Loop>();
  auto notifier = std::make_unique<Notifier>(*loop);
  loop->spawn(
      [](Notifier& n, Loop& l) -> Task<void> {
        l.stop();
        co_await n.wait(std::chrono::seconds(600));
      }(*notifier, *loop),
      "waits");
  loop->run();
  notifier.reset();
  loop.reset();
}

TEST_CASE("tasks that wait can be ended while what they refer to still lives") {
  Loop loop;
  bool gone = false;
  struct Tells {
    bool& gone;
    ~Tells() { gone = true; }
  };
  {
    Notifier notifier(loop);
    loop.spawn(
        [](Notifier& n, Loop& l, bool& out) -> Task<void> {
          const Tells tells{out};
          l.stop();
          co_await n.wait(std::chrono::seconds(600));
        }(notifier, loop, gone),
        "waits");
    loop.run();
    CHECK(!gone);
    loop.end_tasks();
    CHECK(gone);
    CHECK(notifier.waiting() == 0);
  }
}

TEST_CASE("a server can be destroyed after the tasks it served have ended") {
  Loop loop;
  Router router;
  router.get("/stuck", [&loop](Request&) -> Task<Response> {
    loop.stop();
    co_await loop.sleep(std::chrono::seconds(600));
    co_return Response::empty(204);
  });
  auto server = Server::listen(loop, std::move(router), {});
  REQUIRE(server);
  Client client(loop);
  loop.spawn(
      [](Client& c, uint16_t port) -> Task<void> {
        ClientRequest request;
        request.url = "http://127.0.0.1:" + std::to_string(port) + "/stuck";
        (void)co_await c.send(std::move(request));
      }(client, (*server)->port()),
      "asks");
  loop.run();
  loop.end_tasks();
  server->reset();
}

TEST_CASE("a posted call from another thread runs on the loop") {
  Loop loop;
  std::thread::id ran;
  std::thread other([&] {
    loop.post([&] {
      ran = std::this_thread::get_id();
      loop.stop();
    });
  });
  other.join();
  loop.run();
  CHECK(ran == std::this_thread::get_id());
}
