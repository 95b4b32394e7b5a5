#include "os/slot_network.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <ifaddrs.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <set>

#include "base/json.h"
#include "os/atomic_file.h"
#include "os/netlink.h"
#include "os/network_namespace.h"
#include "os/nft.h"
#include "os/slot_rules.h"

namespace nimbus::os {

namespace {

constexpr std::string_view kUplinkName = "up0";
constexpr int kIndexMax = 9999;  // keeps device names within the kernel's 15 characters
constexpr int kListenBacklog = 128;

// An IPv4 range as numbers in host order.
struct Range {
  uint32_t first = 0;
  unsigned prefix = 32;
  uint32_t links() const { return (uint32_t{1} << (32 - prefix)) / 4; }  // how many /30
};

Result<Range> parse_range(const std::string& text) {
  Range range;
  const auto slash = text.find('/');
  in_addr address{};
  if (slash == std::string::npos ||
      ::inet_pton(AF_INET, text.substr(0, slash).c_str(), &address) != 1 ||
      std::from_chars(text.data() + slash + 1, text.data() + text.size(), range.prefix).ptr !=
          text.data() + text.size() ||
      range.prefix < 8 || range.prefix > 30)
    return fail(Code::bad_request, fmt::format("not an address range: {:.40}", text),
                "write it as 198.18.0.0/15, with a prefix of 8 to 30");
  range.first = ntohl(address.s_addr) & (~uint32_t{0} << (32 - range.prefix));
  return range;
}

std::string to_text(uint32_t address) {
  char text[INET_ADDRSTRLEN] = {};
  const in_addr raw{htonl(address)};
  ::inet_ntop(AF_INET, &raw, text, sizeof text);
  return text;
}

std::set<uint32_t> read_host_addresses() {
  std::set<uint32_t> addresses;
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return addresses;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next)
    if (entry->ifa_addr != nullptr && entry->ifa_addr->sa_family == AF_INET) {
      sockaddr_in address{};
      std::memcpy(&address, entry->ifa_addr, sizeof address);
      addresses.insert(ntohl(address.sin_addr.s_addr));
    }
  ::freeifaddrs(list);
  return addresses;
}

// The host's address of the slot's link: the slot's own place in the range, or the next free one.
// The place depends on the instance, so that two agents on one machine seldom meet.
Result<uint32_t> choose_link(const Range& range, std::string_view instance, int index) {
  uint32_t place = 2166136261U;  // FNV-1a
  for (const char c : instance) place = (place ^ static_cast<unsigned char>(c)) * 16777619U;
  const auto taken = read_host_addresses();
  for (uint32_t step = 0; step < range.links(); ++step) {
    const uint32_t link = (place + static_cast<uint32_t>(index) + step) % range.links();
    const uint32_t host = range.first + link * 4 + 1;
    if (!taken.contains(host)) return host;
  }
  return fail(Code::unavailable, "the egress range has no free link left",
              "configure a larger egress range");
}

std::string veth_name(std::string_view instance, int index) {
  return fmt::format("{}{}", veth_prefix(instance), index);
}

Result<void> write_sysctl(const std::string& name, std::string_view value) {
  const UniqueFd fd(::open(("/proc/sys/net/" + name).c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd || ::write(fd.get(), value.data(), value.size()) < 0)
    return fail(errno_error("setting net." + name, errno));
  return {};
}

Result<UniqueFd> attach_tap(std::string_view name) {
  UniqueFd fd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return fail(errno_error("opening /dev/net/tun", errno));
  ifreq request{};
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  if (name.size() >= sizeof request.ifr_name) return fail(Code::bad_request, "tap name too long");
  std::memcpy(request.ifr_name, name.data(), name.size());
  if (::ioctl(fd.get(), TUNSETIFF, &request) != 0)
    return fail(errno_error(fmt::format("attaching to tap {}", name), errno));
  return fd;
}

// Makes the tap, kept without a holder. The descriptor closes before the device comes up, so that
// the kernel's one reaction to the monitor attaching is to wake it, at once: a carrier seen to go
// and come back is handled up to a second later, and packets are lost until then.
Result<void> make_tap() {
  const auto tap = TRY(attach_tap(kTapName));
  if (::ioctl(tap.get(), TUNSETPERSIST, 1) != 0) return fail(errno_error("keeping the tap", errno));
  return {};
}

// Runs inside the new namespace.
Result<void> set_up_slot(const SlotNetworkOptions& options, int index, int host_namespace,
                         uint32_t link) {
  // Before any device is up, so that none ever speaks IPv6. Kernels without it have nothing to off.
  (void)write_sysctl("ipv6/conf/all/disable_ipv6", "1");
  (void)write_sysctl("ipv6/conf/default/disable_ipv6", "1");
  TRY(write_sysctl("ipv4/conf/all/accept_redirects", "0"));
  TRY(write_sysctl("ipv4/conf/all/send_redirects", "0"));
  TRY(write_sysctl("ipv4/conf/default/send_redirects", "0"));
  TRY(write_sysctl("ipv4/conf/all/rp_filter", "1"));
  // Without egress too: a router without a route says so, where a host would stay silent, and the
  // guest's attempts fail at once instead of timing out.
  TRY(write_sysctl("ipv4/ip_forward", "1"));

  TRY(make_tap());
  auto netlink = TRY(Netlink::open());
  TRY(netlink.set_mac(kTapName, kGatewayMac));
  TRY(run_nft(slot_ruleset(options)));  // before the first packet can come
  TRY(netlink.set_up("lo"));
  TRY(netlink.add_address(kTapName, kGatewayAddress, 30));
  TRY(netlink.set_up(kTapName));
  TRY(netlink.add_neighbour(kTapName, kGuestAddress, kGuestMac));
  if (!options.egress) return {};
  TRY(netlink.add_veth(kUplinkName, veth_name(options.instance, index), host_namespace));
  TRY(netlink.add_address(kUplinkName, to_text(link + 1), 30));
  return netlink.set_up(kUplinkName);
}

// Runs on the host once the veth's end is there; the slot's route needs both ends up.
Result<void> set_up_uplink(const SlotNetwork& slot, std::string_view veth, uint32_t link) {
  auto netlink = TRY(Netlink::open());
  TRY(netlink.add_address(veth, to_text(link), 30));
  TRY(netlink.set_up(veth));
  return run_in_network_namespace(slot.namespace_path, [&]() -> Result<void> {
    auto inside = TRY(Netlink::open());
    return inside.add_default_route(to_text(link));
  });
}

Result<UniqueFd> bind_socket(int type, std::string_view address, uint16_t port) {
  const auto what = fmt::format("listening on {}:{} in the slot", address, port);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(port);
  if (::inet_pton(AF_INET, std::string(address).c_str(), &where.sin_addr) != 1)
    return fail(Code::bad_request, what + ": not an IPv4 address");
  UniqueFd fd(::socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail(errno_error(what, errno));
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0)
    return fail(errno_error(what, errno));
  if (type == SOCK_STREAM && ::listen(fd.get(), kListenBacklog) != 0)
    return fail(errno_error(what, errno));
  return fd;
}

Result<UniqueFd> bind_in(const std::string& namespace_path, int type, std::string_view address,
                         uint16_t port) {
  UniqueFd fd;
  TRY(run_in_network_namespace(namespace_path, [&]() -> Result<void> {
    fd = TRY(bind_socket(type, address, port));
    return {};
  }));
  return fd;
}

}  // namespace

Result<SlotNetworks> SlotNetworks::open(SlotNetworkOptions options) {
  const bool plain = std::all_of(options.instance.begin(), options.instance.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
  });
  if (options.instance.empty() || options.instance.size() > 6 || !plain)
    return fail(Code::bad_request, "an instance is 1 to 6 of a-z and 0-9");
  TRY(parse_range(options.egress_range));
  for (const auto& range : options.egress_refused) TRY(parse_range(range));
  const bool fresh = ::access(options.directory.c_str(), F_OK) != 0;
  TRY(make_directories(options.directory, 0755));
  // `ip netns` of other users looks here, whatever this process's umask is.
  if (fresh && ::chmod(options.directory.c_str(), 0755) != 0)
    return fail(errno_error("opening " + options.directory, errno));
  if (options.egress) {
    TRY_IN("setting up egress", run_nft(host_ruleset(options)));
    TRY_IN("setting up egress", write_sysctl("ipv4/ip_forward", "1"));
  }
  return SlotNetworks(std::move(options));
}

SlotNetwork SlotNetworks::describe(int index) const {
  SlotNetwork slot;
  slot.index = index;
  slot.name = fmt::format("nimbus-{}-{}", options_.instance, index);
  slot.namespace_path = options_.directory + "/" + slot.name;
  return slot;
}

Result<SlotNetwork> SlotNetworks::create(int index) {
  if (index < 0 || index > kIndexMax)
    return fail(Code::bad_request, fmt::format("no slot {}: 0 to {}", index, kIndexMax));
  const auto slot = describe(index);
  const std::string what = "making the network of " + slot.name;
  TRY_IN(what, destroy(index));
  uint32_t link = 0;
  if (options_.egress)
    link = TRY_IN(what,
                  choose_link(TRY(parse_range(options_.egress_range)), options_.instance, index));
  const UniqueFd host(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!host) return fail(errno_error(what, errno));
  auto made = make_network_namespace(
      slot.namespace_path, [&] { return set_up_slot(options_, index, host.get(), link); });
  if (made && options_.egress)
    made = set_up_uplink(slot, veth_name(options_.instance, index), link);
  if (!made) {
    (void)destroy(index);
    return fail(std::move(made).error().in(what));
  }
  return slot;
}

Result<void> SlotNetworks::destroy(int index) {
  const auto slot = describe(index);
  // The devices go by name, at once: a socket somebody still holds would keep the namespace alive,
  // nameless, with all that is in it.
  auto cleared = run_in_network_namespace(slot.namespace_path, []() -> Result<void> {
    auto netlink = TRY(Netlink::open());
    TRY(netlink.delete_link(kTapName));
    return netlink.delete_link(kUplinkName);
  });
  // A handle that is no namespace is what a crash between making file and mount leaves.
  (void)cleared;
  TRY_IN("removing the network of " + slot.name, remove_network_namespace(slot.namespace_path));
  auto netlink = TRY(Netlink::open());
  return netlink.delete_link(veth_name(options_.instance, index));
}

Result<std::vector<SlotNetwork>> SlotNetworks::list_slots() const {
  std::set<int> indices;
  const auto note = [&](std::string_view name, std::string_view prefix) {
    int index = -1;
    if (name.substr(0, prefix.size()) != prefix) return;
    const auto [end, error] =
        std::from_chars(name.data() + prefix.size(), name.data() + name.size(), index);
    if (error == std::errc() && end == name.data() + name.size() && index >= 0)
      indices.insert(index);
  };
  DIR* directory = ::opendir(options_.directory.c_str());
  if (directory == nullptr) return fail(errno_error("listing " + options_.directory, errno));
  while (const dirent* entry = ::readdir(directory))
    note(entry->d_name, fmt::format("nimbus-{}-", options_.instance));
  ::closedir(directory);
  if (struct if_nameindex* devices = ::if_nameindex()) {
    for (auto* device = devices; device->if_index != 0; ++device)
      note(device->if_name, veth_prefix(options_.instance));
    ::if_freenameindex(devices);
  }
  std::vector<SlotNetwork> slots;
  for (const int index : indices) slots.push_back(describe(index));
  return slots;
}

Result<SlotNetworkCounters> SlotNetworks::read_counters(int index) const {
  std::string listing;
  TRY(run_in_network_namespace(describe(index).namespace_path, [&]() -> Result<void> {
    listing = TRY(list_nft("list counters"));
    return {};
  }));
  const auto root = TRY(parse_json_object(listing));
  SlotNetworkCounters counters;
  const auto* entries = TRY(find_array(root, "nftables"));
  if (entries == nullptr) return counters;
  for (const auto& entry : *entries) {
    const auto* object = entry.if_object();
    const auto* counter = object == nullptr ? nullptr : object->if_contains("counter");
    if (counter == nullptr || !counter->is_object()) continue;
    const auto name = TRY(read_text(counter->get_object(), "name"));
    const auto packets = static_cast<uint64_t>(counter->at("packets").to_number<int64_t>());
    if (name == "dropped" || name == "foreign") counters.dropped_packets += packets;
    if (name == "spoofed") counters.spoofed_packets += packets;
    if (name == "egress") {
      counters.egress_packets += packets;
      counters.egress_bytes += static_cast<uint64_t>(counter->at("bytes").to_number<int64_t>());
    }
  }
  return counters;
}

Result<void> SlotNetworks::close() {
  for (const auto& slot : TRY(list_slots())) TRY(destroy(slot.index));
  if (!options_.egress) return {};
  const auto table = host_table(options_.instance);
  return run_nft(fmt::format("table inet {0} {{ }}\ndelete table inet {0}\n", table));
}

Result<UniqueFd> open_tap(const std::string& namespace_path, std::string_view tap_name) {
  UniqueFd fd;
  TRY(run_in_network_namespace(namespace_path, [&]() -> Result<void> {
    fd = TRY(attach_tap(tap_name));
    return {};
  }));
  return fd;
}

Result<void> set_tap_owner(const std::string& namespace_path, uid_t uid, gid_t gid) {
  const auto fd = TRY(open_tap(namespace_path));
  if (::ioctl(fd.get(), TUNSETOWNER, static_cast<unsigned long>(uid)) != 0 ||
      ::ioctl(fd.get(), TUNSETGROUP, static_cast<unsigned long>(gid)) != 0)
    return fail(errno_error("giving the tap to its user", errno));
  return {};
}

Result<UniqueFd> listen_tcp_in(const std::string& namespace_path, std::string_view address,
                               uint16_t port) {
  return bind_in(namespace_path, SOCK_STREAM, address, port);
}

Result<UniqueFd> bind_udp_in(const std::string& namespace_path, std::string_view address,
                             uint16_t port) {
  return bind_in(namespace_path, SOCK_DGRAM, address, port);
}

}  // namespace nimbus::os
