// The network of one slot: a namespace with a tap for the guest, a gateway address that only this
// guest reaches, and a way out to the internet and nowhere else. Every slot is the same inside, so
// that a guest frozen in one wakes up in any other.
//
//   inside: guest 169.254.169.253 ── tap0 169.254.169.254/30 ── up0 ══ veth ══ host, masqueraded
//
// The guest may open connections to tcp/80 (and the ports in `gateway_udp_ports`) of the gateway
// address, and with `egress` to public addresses. Everything else is dropped and counted: other
// ports, the host, private and shared ranges, link-local, multicast, other slots, IPv6, and frames
// whose MAC or address is not the guest's.
//
// State lives in the kernel under names that begin with the instance's prefix; nothing is kept
// here, so a restarted program sees and removes what the last one left. Needs CAP_NET_ADMIN and
// CAP_SYS_ADMIN. Threads: any, one call per slot at a time; calls take about a millisecond.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "os/unique_fd.h"

namespace nimbus::os {

inline constexpr std::string_view kGuestMac = "06:00:a9:fe:a9:fd";
inline constexpr std::string_view kGatewayMac = "06:00:a9:fe:a9:fe";
inline constexpr std::string_view kGuestAddress = "169.254.169.253";
inline constexpr std::string_view kGatewayAddress = "169.254.169.254";
inline constexpr std::string_view kTapName = "tap0";

struct SlotNetworkOptions {
  std::string instance;                  // [a-z0-9]{1,6}; parts of one machine must differ
  std::string directory = "/run/netns";  // of the namespace handles; there `ip netns` shows them
  std::string egress_range = "198.18.0.0/15";  // host side; each slot takes a /30 of it
  bool egress = true;                          // false: the gateway is all there is
  std::vector<uint16_t> gateway_udp_ports;     // 53 once the gateway answers DNS
  std::vector<std::string> egress_refused;     // further ranges, "203.0.113.0/24"
  uint32_t egress_connections_max = 4096;      // at once, so that no guest fills the host's table
};

struct SlotNetwork {
  int index = 0;
  std::string name;            // "nimbus-INSTANCE-INDEX"
  std::string namespace_path;  // of the handle
};

struct SlotNetworkCounters {
  uint64_t dropped_packets = 0;  // refused by policy
  uint64_t spoofed_packets = 0;  // not from the guest's own MAC and address
  uint64_t egress_packets = 0;
  uint64_t egress_bytes = 0;
};

class SlotNetworks {
 public:
  // bad_request: the options are wrong; forbidden: a privilege is missing. Creates the host's nft
  // table `nimbus_INSTANCE` and switches IPv4 forwarding on when there is egress.
  static Result<SlotNetworks> open(SlotNetworkOptions options);

  // Makes the slot's network. A leftover of the same index is removed first.
  Result<SlotNetwork> create(int index);
  // Removes namespace, tap, veth and rules. Absent is done.
  Result<void> destroy(int index);
  // What exists under this instance's prefix, whoever made it.
  Result<std::vector<SlotNetwork>> list_slots() const;
  // The slot's packet counters. not_found: no such slot.
  Result<SlotNetworkCounters> read_counters(int index) const;
  // Removes every slot and the host's table.
  Result<void> close();

  SlotNetwork describe(int index) const;  // names only; nothing is looked up

 private:
  explicit SlotNetworks(SlotNetworkOptions options) : options_(std::move(options)) {}
  SlotNetworkOptions options_;
};

// A descriptor of the tap inside the namespace, for a VMM that takes one (vnet headers on).
Result<UniqueFd> open_tap(const std::string& namespace_path, std::string_view tap_name = kTapName);
// Gives the tap to a user, for a VMM that opens it itself.
Result<void> set_tap_owner(const std::string& namespace_path, uid_t uid, gid_t gid);
// A listening TCP socket inside the namespace, and an unconnected UDP one.
Result<UniqueFd> listen_tcp_in(const std::string& namespace_path, std::string_view address,
                               uint16_t port);
Result<UniqueFd> bind_udp_in(const std::string& namespace_path, std::string_view address,
                             uint16_t port);

}  // namespace nimbus::os
