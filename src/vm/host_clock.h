// The processor's time stamp counter. An emulated guest reads the host's and cannot measure its
// rate (microvm has no other timer early in the boot), so it is told; a frozen guest keeps what it
// was told, so it wakes up only on a host with the same rate.
//
// Threads: any.
#pragma once

#include <cstdint>

namespace nimbus::vm {

// Ticks per millisecond, measured against the kernel's raw clock over 20 ms, within a few parts in
// 100,000. Blocks.
uint64_t measure_tsc_khz();

}  // namespace nimbus::vm
