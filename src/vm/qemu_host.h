// What this host offers QEMU: its version, and whether KVM boots a guest or emulation has to do.
//
// Threads: any; calls block, for seconds the first time on a machine.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "vm/qemu.h"

namespace nimbus::vm {

struct QemuHost {
  std::string version;
  std::string accel;   // "kvm" or "tcg"
  std::string detail;  // why not KVM
  uint64_t tsc_khz = 0;
};

// Remembered in the cache directory for this boot of the host, this QEMU and this kernel.
// unavailable: QEMU is missing or does not run.
Result<QemuHost> inspect_host(const QemuOptions& options, const std::string& kernel);

}  // namespace nimbus::vm
