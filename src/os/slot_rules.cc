#include "os/slot_rules.h"

#include <fmt/core.h>

#include <array>

namespace nimbus::os {

namespace {

// Not the internet: RFC 6890's special ranges, multicast and the reserved rest.
constexpr std::array<std::string_view, 15> kRefused = {
    "0.0.0.0/8",     "10.0.0.0/8",      "100.64.0.0/10",  "127.0.0.0/8",    "169.254.0.0/16",
    "172.16.0.0/12", "192.0.0.0/24",    "192.0.2.0/24",   "192.88.99.0/24", "192.168.0.0/16",
    "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",    "240.0.0.0/4"};

std::string refused_elements(const SlotNetworkOptions& options) {
  std::string text;
  for (const auto range : kRefused) text += fmt::format("{}{}", text.empty() ? "" : ", ", range);
  for (const auto& range : options.egress_refused) text += ", " + range;
  return text;
}

}  // namespace

std::string host_table(std::string_view instance) { return fmt::format("nimbus_{}", instance); }
std::string veth_prefix(std::string_view instance) { return fmt::format("nb{}-", instance); }

std::string slot_ruleset(const SlotNetworkOptions& options) {
  std::string udp;
  for (const auto port : options.gateway_udp_ports)
    udp += fmt::format("    iifname \"{}\" ip daddr {} udp dport {} accept\n", kTapName,
                       kGatewayAddress, port);
  std::string egress;
  if (options.egress)
    egress = fmt::format(
        "    iifname \"{0}\" ct state new ct count over {1} counter name dropped drop\n"
        "    iifname \"{0}\" oifname \"up0\" ip daddr != @refused counter name egress accept\n",
        kTapName, options.egress_connections_max);
  // `reject` tells the guest at once; nothing of it reaches anybody else.
  return fmt::format(R"(
table netdev nimbus_tap {{
  counter spoofed {{ }}
  counter foreign {{ }}
  chain tap_ingress {{
    type filter hook ingress device "{tap}" priority -500; policy drop;
    ether saddr != {mac} counter name spoofed drop
    ether type arp arp saddr ether {mac} arp saddr ip {guest} accept
    ether type arp counter name spoofed drop
    ether type ip ip saddr {guest} accept
    ether type ip counter name spoofed drop
    counter name foreign drop
  }}
}}
table inet nimbus_slot {{
  counter dropped {{ }}
  counter egress {{ }}
  set refused {{
    type ipv4_addr; flags interval; auto-merge;
    elements = {{ {refused} }}
  }}
  chain slot_input {{
    type filter hook input priority 0; policy drop;
    iifname "lo" accept
    ct state established,related accept
    iifname "{tap}" ip daddr {gateway} tcp dport 80 accept
{udp}    iifname "{tap}" meta l4proto tcp counter name dropped reject with tcp reset
    counter name dropped drop
  }}
  chain slot_output {{
    type filter hook output priority 0; policy drop;
    oifname "lo" accept
    ct state established,related accept
    counter name dropped drop
  }}
  chain slot_forward {{
    type filter hook forward priority 0; policy drop;
    iifname "up0" oifname "{tap}" ct state established,related accept
{egress}    iifname "{tap}" counter name dropped reject with icmp type admin-prohibited
    counter name dropped drop
  }}
  chain slot_nat {{
    type nat hook postrouting priority 100; policy accept;
    oifname "up0" masquerade
  }}
}}
)",
                     fmt::arg("tap", kTapName), fmt::arg("mac", kGuestMac),
                     fmt::arg("guest", kGuestAddress), fmt::arg("gateway", kGatewayAddress),
                     fmt::arg("udp", udp), fmt::arg("egress", egress),
                     fmt::arg("refused", refused_elements(options)));
}

std::string host_ruleset(const SlotNetworkOptions& options) {
  // Added, deleted and made again in one transaction: the old rules hold until the new ones do.
  return fmt::format(R"(
table inet {table} {{ }}
delete table inet {table}
table inet {table} {{
  set refused {{
    type ipv4_addr; flags interval; auto-merge;
    elements = {{ {refused} }}
  }}
  chain host_input {{
    type filter hook input priority -10; policy accept;
    iifname "{veth}*" counter drop
  }}
  chain host_forward {{
    type filter hook forward priority -10; policy accept;
    iifname "{veth}*" ip saddr != {range} counter drop
    iifname "{veth}*" meta nfproto ipv6 counter drop
    iifname "{veth}*" ip daddr @refused counter drop
    oifname "{veth}*" ct state != {{ established, related }} counter drop
  }}
  chain host_nat {{
    type nat hook postrouting priority 100; policy accept;
    ip saddr {range} oifname != "{veth}*" masquerade
  }}
}}
)",
                     fmt::arg("table", host_table(options.instance)),
                     fmt::arg("veth", veth_prefix(options.instance)),
                     fmt::arg("range", options.egress_range),
                     fmt::arg("refused", refused_elements(options)));
}

}  // namespace nimbus::os
