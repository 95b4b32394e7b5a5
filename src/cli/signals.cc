#include "cli/signals.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>

namespace nimbus::cli {

struct Signals::State : std::enable_shared_from_this<State> {
  State(net::Loop& loop, std::function<void()> end, std::function<void()> reload)
      : set(loop.context(), SIGTERM, SIGINT, SIGHUP),
        on_end(std::move(end)),
        on_reload(std::move(reload)) {}

  void wait() {
    set.async_wait([self = shared_from_this()](const boost::system::error_code& error, int signal) {
      if (error) return;
      if (signal == SIGHUP) {
        self->on_reload();
      } else {
        self->on_end();
      }
      self->wait();
    });
  }

  boost::asio::signal_set set;
  std::function<void()> on_end;
  std::function<void()> on_reload;
};

Signals::Signals(net::Loop& loop, std::function<void()> on_end, std::function<void()> on_reload)
    : state_(std::make_shared<State>(loop, std::move(on_end), std::move(on_reload))) {
  state_->wait();
}

Signals::~Signals() { state_->set.cancel(); }

}  // namespace nimbus::cli
