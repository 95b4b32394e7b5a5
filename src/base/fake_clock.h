// A clock that stands still until a test moves it. Threads: one.
#pragma once

#include "base/clock.h"

namespace nimbus {

class FakeClock final : public Clock {
 public:
  explicit FakeClock(Time now = from_us(1'700'000'000'000'000)) : now_(now) {}
  Time now() const override { return now_; }
  Duration steady() const override { return steady_; }
  void advance(Duration by) {
    now_ += by;
    steady_ += by;
  }
  void set_now(Time now) { now_ = now; }  // a jump of the wall clock alone

 private:
  Time now_;
  Duration steady_{0};
};

}  // namespace nimbus
