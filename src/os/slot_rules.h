// The packet filter of a slot, as nftables text: pure functions, so that the rules can be read and
// tested without a kernel. The policy is told in slot_network.h.
#pragma once

#include <string>
#include <string_view>

#include "os/slot_network.h"

namespace nimbus::os {

// Inside the namespace.
std::string slot_ruleset(const SlotNetworkOptions& options);
// On the host: what leaves a slot's veth may only go out, and nobody may come in.
std::string host_ruleset(const SlotNetworkOptions& options);
std::string host_table(std::string_view instance);   // "nimbus_INSTANCE"
std::string veth_prefix(std::string_view instance);  // "nbINSTANCE-"

}  // namespace nimbus::os
