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
    // keeps the loop alive while the operation is elsewhere.
    using Handler = decltype(handler);
    auto shared = std::make_shared<Handler>(std::move(handler));
    auto guard = asio::prefer(executor, asio::execution::outstanding_work.tracked);
    start([shared, guard]() { asio::dispatch(guard, [shared] { std::move (*shared)(); }); });
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(std::move(initiate),
                                                                       asio::use_awaitable);
}

}  // namespace nimbus
