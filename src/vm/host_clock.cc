#include "vm/host_clock.h"

#include <time.h>
#include <x86intrin.h>

#include <algorithm>

namespace nimbus::vm {

namespace {

struct Sample {
  uint64_t ticks = 0;
  uint64_t ns = 0;
};

uint64_t raw_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_RAW, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// Both clocks at one instant: of a few tries, the one in which least time passed in between.
Sample take_sample() {
  Sample best;
  uint64_t narrowest = ~uint64_t{0};
  for (int attempt = 0; attempt < 16; ++attempt) {
    const uint64_t before = __rdtsc();
    const uint64_t ns = raw_ns();
    const uint64_t after = __rdtsc();
    if (after - before >= narrowest) continue;
    narrowest = after - before;
    best = {before + narrowest / 2, ns};
  }
  return best;
}

}  // namespace

uint64_t measure_tsc_khz() {
  const Sample first = take_sample();
  const timespec pause{0, 20'000'000};
  ::nanosleep(&pause, nullptr);
  const Sample second = take_sample();
  const uint64_t ns = std::max<uint64_t>(second.ns - first.ns, 1);
  return (second.ticks - first.ticks) * 1'000'000 / ns;
}

}  // namespace nimbus::vm
