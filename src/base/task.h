// Coroutines of the event loop. A Task runs on the executor it was spawned on and resumes there; it
// starts when it is awaited. Nimbus has one loop thread per process: code in Tasks shares data
// without locks, and never blocks.
//
// gcc 12 miscompiles some temporaries with destructors inside a co_await expression: name them
// first.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace nimbus {

template <typename T = void>
using Task = boost::asio::awaitable<T>;

// Suspends the caller and calls `start(done)` at once. The caller resumes on its own executor after
// `done()`, which may come from any thread, exactly once, even from within `start`.
Task<void> await_callback(std::function<void(std::function<void()> done)> start);

// The same for an operation that yields a value.
template <typename T>
Task<T> await_value(std::function<void(std::function<void(T)> done)> start) {
  auto value = std::make_shared<std::optional<T>>();
  std::function<void(std::function<void()>)> wrapped =
      [value, start = std::move(start)](std::function<void()> done) {
        start([value, done = std::move(done)](T result) {
          value->emplace(std::move(result));
          done();
        });
      };
  co_await await_callback(std::move(wrapped));
  co_return std::move(**value);
}

}  // namespace nimbus
