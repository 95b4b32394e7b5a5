// The QEMU driver: `-M microvm` under KVM where a probe guest boots with it, under emulation (TCG)
// elsewhere. For machines without usable KVM, and for tests; the guest sees the same devices.
//
// QEMU runs in the slot's network namespace and cgroup, under seccomp, in an empty root, as the
// spec's user; every socket and file it needs later is a descriptor it inherits.
//
// Threads: the loop's.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "net/loop.h"
#include "vm/machine.h"

namespace nimbus::vm {

enum class Accel { automatic, kvm, tcg };

struct QemuOptions {
  std::string binary = "/usr/bin/qemu-system-x86_64";
  std::string cache_directory;  // unpacked kernels and the probe's answer; made when absent
  Accel accel = Accel::automatic;
  Duration probe_timeout = std::chrono::seconds(3);
};

// The options are not checked until `preflight`, `boot` or `restore`.
std::unique_ptr<Driver> make_qemu_driver(net::Loop& loop, QemuOptions options);

}  // namespace nimbus::vm
