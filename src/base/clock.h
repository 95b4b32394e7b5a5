// Time is passed in, so that a test or a simulation decides what time it is. `now` is the wall
// clock (stored, shown, compared with times from outside); `steady` never jumps (timeouts, leases
// held here).
//
// Threads: any.
#pragma once

#include <chrono>

#include "base/time.h"

namespace nimbus {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Time now() const = 0;
  virtual Duration steady() const = 0;  // since an arbitrary point of this process's life
};

// The machine's clocks. Lives as long as the program.
Clock& system_clock();

}  // namespace nimbus
