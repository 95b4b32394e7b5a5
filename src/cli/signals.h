// The signals that a server obeys: TERM and INT drain and end, HUP reloads. Calls come on the loop.
#pragma once

#include <functional>
#include <memory>

#include "net/loop.h"

namespace nimbus::cli {

class Signals {
 public:
  Signals(net::Loop& loop, std::function<void()> on_end, std::function<void()> on_reload);
  ~Signals();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace nimbus::cli
