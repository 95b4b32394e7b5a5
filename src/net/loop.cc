#include "net/loop.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <list>
#include <string>

#include "base/check.h"
#include "base/log.h"

namespace nimbus::net {

namespace asio = boost::asio;
constexpr auto kToken = asio::as_tuple(asio::use_awaitable);

namespace {

// Its `shutdown` destroys what waits, as the destructor would.
struct Context : asio::io_context {
  Context() : asio::io_context(1) {}
  using asio::io_context::shutdown;
};

}  // namespace

struct Loop::State {
  explicit State(int blocking_threads) : pool(static_cast<size_t>(blocking_threads)) {}
  Context context;
  // Destroyed first: its threads may still post to the context.
  asio::thread_pool pool;
};

Loop::Loop(int blocking_threads) : state_(std::make_unique<State>(blocking_threads)) {}

Loop::~Loop() { end_tasks(); }

void Loop::end_tasks() {
  state_->pool.stop();
  state_->pool.join();
  state_->context.shutdown();
}

void Loop::run() {
  state_->context.run();
  // Afterwards and not before, so that a `stop` which comes early is not forgotten.
  state_->context.restart();
}

void Loop::stop() { state_->context.stop(); }

void Loop::post(std::function<void()> call) { asio::post(state_->context, std::move(call)); }

void Loop::spawn(Task<void> task, std::string_view name) {
  auto ended = [name = std::string(name)](const std::exception_ptr& exception) {
    if (!exception) return;
    try {
      std::rethrow_exception(exception);
    } catch (const std::exception& e) {
      log_error("task threw", {{"task", name}, {"what", e.what()}});
    } catch (...) {
      log_error("task threw", {{"task", name}});
    }
    CHECK(exception == nullptr);
  };
  asio::co_spawn(state_->context, std::move(task), std::move(ended));
}

Task<void> Loop::sleep(Duration time) {
  asio::steady_timer timer(state_->context, time);
  co_await timer.async_wait(kToken);
}

Task<void> Loop::run_blocking(std::function<void()> call) {
  asio::thread_pool& pool = state_->pool;
  std::function<void(std::function<void()>)> start = [&pool, &call](std::function<void()> done) {
    asio::post(pool, [&call, done = std::move(done)] {
      call();
      done();
    });
  };
  co_await await_callback(std::move(start));
}

asio::io_context& Loop::context() { return state_->context; }

struct Notifier::State {
  struct Waiter {
    asio::steady_timer timer;
    bool notified = false;
  };
  explicit State(asio::io_context& c) : context(c) {}
  asio::io_context& context;
  std::list<Waiter> waiters;
};

namespace {

// Takes the waiter out of the list also when the coroutine is destroyed while it waits.
template <typename State>
struct Registration {
  std::shared_ptr<State> state;
  typename std::list<typename State::Waiter>::iterator waiter;

  Registration(std::shared_ptr<State> s, Duration timeout) : state(std::move(s)) {
    state->waiters.push_back({asio::steady_timer(state->context, timeout)});
    waiter = std::prev(state->waiters.end());
  }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;
  ~Registration() { state->waiters.erase(waiter); }
};

}  // namespace

Notifier::Notifier(Loop& loop) : state_(std::make_shared<State>(loop.context())) {}
Notifier::~Notifier() = default;

Task<bool> Notifier::wait(Duration timeout) {
  Registration<State> registration(state_, timeout);
  co_await registration.waiter->timer.async_wait(kToken);
  co_return registration.waiter->notified;
}

void Notifier::notify_all() {
  for (auto& waiter : state_->waiters) {
    waiter.notified = true;
    waiter.timer.cancel();
  }
}

size_t Notifier::waiting() const {
  size_t count = 0;
  for (const auto& waiter : state_->waiters) count += waiter.notified ? 0 : 1;
  return count;
}

}  // namespace nimbus::net
