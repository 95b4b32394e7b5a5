#include "base/task.h"

#include <boost/asio/async_result.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace nimbus {

namespace asio = boost::asio;

Task<void> await_callback(std::function<void(std::function<void()> done)> start) {
  const auto executor = co_await asio::this_coro::executor;
  auto initiate = [executor, &start](auto handler) {
    // std::function wants copyable targets and the handler is move-only: share it. The work guard
    // keeps the loop alive while the operation is elsewhere; it goes back to the loop with the
    // handler. Left with `done`, a thread that drops `done` late would end the loop's work then,
    // and so stop whatever the loop runs next.
    struct Suspended {
      decltype(handler) resume;
      asio::any_io_executor guard;
    };
    auto suspended = std::make_shared<Suspended>(
        std::move(handler), asio::prefer(executor, asio::execution::outstanding_work.tracked));
    start([suspended = std::move(suspended), executor] {
      asio::dispatch(executor,
                     [held = std::move(*suspended)]() mutable { std::move(held.resume)(); });
    });
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(std::move(initiate),
                                                                       asio::use_awaitable);
}

}  // namespace nimbus
