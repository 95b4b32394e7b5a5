// What this process may do on this machine, asked before it matters: `nimbus doctor` shows the
// list, the agent refuses to start when a needed line is not ok.
//
// Threads: any.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace nimbus::os {

struct HostCheck {
  std::string name;  // "network namespaces"
  bool ok = false;
  bool needed = true;  // false: works without, with less
  std::string detail;  // what was seen
  std::string hint;    // what to do when not ok
};

// Root or capabilities, network namespaces, tun device, nftables, cgroup, forwarding. Whether KVM
// works only a guest can tell (vm/qemu_host.h).
// Leaves nothing behind.
std::vector<HostCheck> check_host();

bool has_capability(int capability);  // effective, CAP_NET_ADMIN for instance

}  // namespace nimbus::os
