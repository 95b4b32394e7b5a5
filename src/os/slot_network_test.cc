#include "os/slot_network.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <ifaddrs.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <functional>
#include <thread>

#include "os/netlink.h"
#include "os/network_namespace.h"
#include "os/slot_rules.h"
#include "os/test_support.h"

using namespace nimbus;
using namespace nimbus::os;

namespace {

// Runs a test body as if a fresh machine were under it: its "host" network is a namespace of its
// own that ends with the thread, so this machine's devices, rules and forwarding stay as they are.
void on_scratch_host(const std::function<void()>& body) {
  if (!is_root("network namespaces need root")) return;
  std::thread([&] {
    const bool apart = ::unshare(CLONE_NEWNET) == 0;
    CHECK(apart);
    if (!apart) return;
    auto netlink = Netlink::open();
    CHECK(netlink->set_up("lo"));
    body();
  }).join();
}

SlotNetworkOptions options_in(const TemporaryDirectory& directory) {
  SlotNetworkOptions options;
  options.instance = "t1";
  options.directory = directory.path();
  return options;
}

// Outcome of a TCP connection: 0, or errno; ETIMEDOUT when nothing answers within the patience.
int connect_from(const std::string& namespace_path, const std::string& address, uint16_t port,
                 int patience_ms = 1000) {
  int outcome = -1;
  const auto attempt = [&]() -> Result<void> {
    const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(port);
    ::inet_pton(AF_INET, address.c_str(), &where.sin_addr);
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&where), sizeof where) == 0 ||
        errno != EINPROGRESS) {
      outcome = errno;
      return {};
    }
    pollfd entry{fd.get(), POLLOUT, 0};
    if (::poll(&entry, 1, patience_ms) == 0) {
      outcome = ETIMEDOUT;
      return {};
    }
    socklen_t size = sizeof outcome;
    ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &outcome, &size);
    return {};
  };
  CHECK(run_in_network_namespace(namespace_path, attempt));
  return outcome;
}

// For a connection that must come about, however busy the machine is. The tap wakes a moment after
// somebody holds it; what is asked before is asked again a second later.
bool connects(const std::string& namespace_path, const std::string& address, uint16_t port) {
  return connect_from(namespace_path, address, port, 20'000) == 0;
}

UniqueFd make_tap(const char* name) {
  UniqueFd fd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  ifreq request{};
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  std::strcpy(request.ifr_name, name);
  CHECK(::ioctl(fd.get(), TUNSETIFF, &request) == 0);
  return fd;
}

// Every address of the host's ends of the slots' links, and the slots' own ends one above.
std::vector<std::string> link_addresses() {
  std::vector<std::string> addresses;
  ifaddrs* list = nullptr;
  REQUIRE(::getifaddrs(&list) == 0);
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != AF_INET ||
        std::string_view(entry->ifa_name).substr(0, 2) != "nb")
      continue;
    sockaddr_in host{};
    std::memcpy(&host, entry->ifa_addr, sizeof host);
    for (const uint32_t step : {0U, 1U}) {
      const in_addr address{htonl(ntohl(host.sin_addr.s_addr) + step)};
      addresses.emplace_back(::inet_ntoa(address));
    }
  }
  ::freeifaddrs(list);
  CHECK(addresses.size() == 4);
  return addresses;
}

// A guest's network without a guest: a namespace with the guest's MAC and address, whose frames are
// carried to and from the slot's tap as a monitor would.
class StandInGuest {
 public:
  StandInGuest(const SlotNetwork& slot, std::string path) : path_(std::move(path)) {
    slot_tap_ = std::move(open_tap(slot.namespace_path).value());
    CHECK(make_network_namespace(path_, [&]() -> Result<void> {
      guest_tap_ = make_tap("eth0");
      auto netlink = TRY(Netlink::open());
      TRY(netlink.set_mac("eth0", kGuestMac));
      TRY(netlink.add_address("eth0", kGuestAddress, 30));
      TRY(netlink.set_up("eth0"));
      return netlink.add_default_route(kGatewayAddress);
    }));
    carrier_ = std::thread([this] { carry(); });
  }
  ~StandInGuest() {
    ::eventfd_write(stop_.get(), 1);
    carrier_.join();
    CHECK(remove_network_namespace(path_));
  }
  const std::string& path() const { return path_; }

  // A frame put on the wire as it is.
  void send(const std::string& destination_mac, const std::string& source_mac, uint16_t type,
            const std::string& payload) {
    std::string frame(10, '\0');  // no offload
    frame += parse_mac(destination_mac).value() + parse_mac(source_mac).value();
    frame += static_cast<char>(type >> 8);
    frame += static_cast<char>(type & 0xff);
    frame += payload;
    CHECK(::write(slot_tap_.get(), frame.data(), frame.size()) ==
          static_cast<ssize_t>(frame.size()));
  }

 private:
  void carry() {
    std::array<char, 65600> frame;
    while (true) {
      std::array<pollfd, 3> entries{
          {{slot_tap_.get(), POLLIN, 0}, {guest_tap_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
      ::poll(entries.data(), entries.size(), -1);
      if (entries[2].revents != 0) return;
      for (const auto& [from, to] :
           {std::pair{slot_tap_.get(), guest_tap_.get()}, {guest_tap_.get(), slot_tap_.get()}}) {
        const auto got = ::read(from, frame.data(), frame.size());
        if (got > 0) (void)!::write(to, frame.data(), static_cast<size_t>(got));
      }
    }
  }

  std::string path_;
  UniqueFd slot_tap_, guest_tap_;
  UniqueFd stop_{::eventfd(0, EFD_CLOEXEC)};
  std::thread carrier_;
};

// "The internet": 9.9.9.9 behind the scratch host's wan0, which knows no route back to the slots.
void make_internet(const std::string& path) {
  const UniqueFd host(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  CHECK(make_network_namespace(path, [&]() -> Result<void> {
    auto netlink = TRY(Netlink::open());
    TRY(netlink.add_veth("eth0", "wan0", host.get()));
    TRY(netlink.add_address("eth0", "9.9.9.9", 24));
    TRY(netlink.add_address("eth0", "10.1.2.3", 24));
    return netlink.set_up("eth0");
  }));
  auto netlink = Netlink::open();
  CHECK(netlink->add_address("wan0", "9.9.9.1", 24));
  CHECK(netlink->add_address("wan0", "10.1.2.1", 24));
  CHECK(netlink->set_up("wan0"));
}

// An IPv4 header with these addresses, enough to be judged by.
std::string ipv4_packet(const std::string& source, const std::string& destination) {
  std::string packet("\x45\0\0\x14\0\0\0\0\x40\x11\0\0", 12);
  for (const auto& text : {source, destination}) {
    in_addr address{};
    ::inet_pton(AF_INET, text.c_str(), &address);
    packet.append(reinterpret_cast<const char*>(&address), 4);
  }
  return packet;
}

}  // namespace

TEST_CASE("a guest reaches its gateway's port 80 and nothing else of the gateway") {
  on_scratch_host([] {
    const TemporaryDirectory directory;
    auto networks = SlotNetworks::open(options_in(directory));
    CHECK_MESSAGE(networks, networks.error().message);
    const auto slot = networks->create(0);
    CHECK_MESSAGE(slot, slot.error().message);
    const auto open = listen_tcp_in(slot->namespace_path, kGatewayAddress, 80);
    const auto closed = listen_tcp_in(slot->namespace_path, kGatewayAddress, 81);
    CHECK(open);
    CHECK(closed);
    {
      const StandInGuest guest(*slot, directory.file("guest"));
      CHECK(connects(guest.path(), "169.254.169.254", 80));
      CHECK(connect_from(guest.path(), "169.254.169.254", 81) == ECONNREFUSED);
      CHECK(networks->read_counters(0)->dropped_packets >= 1);
      CHECK(networks->read_counters(0)->spoofed_packets == 0);
    }
    CHECK(networks->close());
  });
}

TEST_CASE(
    "a guest reaches public addresses, and neither the host nor private ranges nor other slots") {
  on_scratch_host([] {
    const TemporaryDirectory directory;
    const auto internet = directory.file("internet");
    make_internet(internet);
    const auto server = listen_tcp_in(internet, "0.0.0.0", 443);
    const auto host_server = listen_tcp_in("/proc/thread-self/ns/net", "0.0.0.0", 22);

    auto networks = SlotNetworks::open(options_in(directory));
    CHECK_MESSAGE(networks, networks.error().message);
    const auto slot = networks->create(0);
    const auto neighbour = networks->create(1);
    CHECK_MESSAGE(slot, slot.error().message);
    CHECK_MESSAGE(neighbour, neighbour.error().message);
    const auto neighbour_server = listen_tcp_in(neighbour->namespace_path, "0.0.0.0", 80);
    {
      const StandInGuest guest(*slot, directory.file("guest"));
      CHECK(connects(guest.path(), "9.9.9.9", 443));
      CHECK(networks->read_counters(0)->egress_packets >= 1);
      CHECK(connect_from(guest.path(), "10.1.2.3", 443) == EHOSTUNREACH);  // private, though routed
      CHECK(connect_from(guest.path(), "9.9.9.1", 22) != 0);  // the host, by its public address
      CHECK(connect_from(guest.path(), "127.0.0.1", 22) != 0);
      // Both ends of the neighbour's link and of its own: the second and first /30 of this
      // instance.
      for (const auto& address : link_addresses())
        CHECK(connect_from(guest.path(), address, 80) != 0);
      CHECK(connect_from(guest.path(), "224.0.0.1", 80) != 0);
      CHECK(connect_from(guest.path(), "100.64.0.1", 80) == EHOSTUNREACH);
      // Nobody outside opens a connection into a slot.
      CHECK(connect_from(internet, "169.254.169.254", 80) != 0);
    }
    CHECK(networks->close());
    CHECK(remove_network_namespace(internet));
  });
}

TEST_CASE("a guest holds no more connections to the outside than its share") {
  on_scratch_host([] {
    const TemporaryDirectory directory;
    const auto internet = directory.file("internet");
    make_internet(internet);
    const auto server = listen_tcp_in(internet, "0.0.0.0", 443);
    auto options = options_in(directory);
    options.egress_connections_max = 2;
    auto networks = SlotNetworks::open(options);
    const auto slot = networks->create(0);
    CHECK_MESSAGE(slot, slot.error().message);
    {
      const StandInGuest guest(*slot, directory.file("guest"));
      CHECK(connects(guest.path(), "9.9.9.9", 443));
      CHECK(connects(guest.path(), "9.9.9.9", 443));
      CHECK(connect_from(guest.path(), "9.9.9.9", 443) == ETIMEDOUT);
    }
    CHECK(networks->close());
    CHECK(remove_network_namespace(internet));
  });
}

TEST_CASE("frames that are not from the guest's own MAC and address are dropped and counted") {
  on_scratch_host([] {
    const TemporaryDirectory directory;
    auto networks = SlotNetworks::open(options_in(directory));
    const auto slot = networks->create(0);
    CHECK_MESSAGE(slot, slot.error().message);
    {
      StandInGuest guest(*slot, directory.file("guest"));
      const std::string gateway(kGatewayMac), own(kGuestMac);
      const auto spoofed = [&] { return networks->read_counters(0)->spoofed_packets; };
      const auto foreign = [&] { return networks->read_counters(0)->dropped_packets; };
      const auto foreign_before = foreign();
      guest.send(gateway, "06:00:00:00:00:01", 0x0800, ipv4_packet("169.254.169.253", "9.9.9.9"));
      CHECK(wait_until([&] { return spoofed() == 1; }));
      guest.send(gateway, own, 0x0800, ipv4_packet("10.0.0.1", "9.9.9.9"));
      CHECK(wait_until([&] { return spoofed() == 2; }));
      guest.send("ff:ff:ff:ff:ff:ff", own, 0x0806, std::string(28, '\0'));  // ARP of nobody
      CHECK(wait_until([&] { return spoofed() == 3; }));
      guest.send(gateway, own, 0x86dd, std::string(40, '\0'));  // IPv6
      CHECK(wait_until([&] { return foreign() > foreign_before; }));
    }
    CHECK(networks->close());
  });
}

TEST_CASE("a slot without egress has its gateway and no other device") {
  on_scratch_host([] {
    const TemporaryDirectory directory;
    auto options = options_in(directory);
    options.egress = false;
    auto networks = SlotNetworks::open(options);
    const auto slot = networks->create(0);
    CHECK_MESSAGE(slot, slot.error().message);
    const auto server = listen_tcp_in(slot->namespace_path, kGatewayAddress, 80);
    {
      const StandInGuest guest(*slot, directory.file("guest"));
      CHECK(connects(guest.path(), "169.254.169.254", 80));
      CHECK(connect_from(guest.path(), "9.9.9.9", 443) == ENETUNREACH);
    }
    CHECK(::if_nametoindex("nbt1-0") == 0);
    CHECK(networks->close());
  });
}

TEST_CASE("a restarted program finds the slots of the last one, and destroying leaves nothing") {
  on_scratch_host([] {
    const TemporaryDirectory directory;
    const auto slots = [&](SlotNetworks& networks) {
      std::vector<int> indices;
      const auto found = networks.list_slots();
      for (const auto& slot : found.value()) indices.push_back(slot.index);
      return indices;
    };
    {
      auto first = SlotNetworks::open(options_in(directory));
      CHECK(first->create(0));
      CHECK(first->create(3));
      CHECK(first->create(3));  // again: the old one makes way
    }
    auto networks = SlotNetworks::open(options_in(directory));
    CHECK(slots(*networks) == std::vector<int>{0, 3});
    // A socket somebody forgot must not keep the devices alive.
    const auto forgotten = listen_tcp_in(networks->describe(3).namespace_path, kGatewayAddress, 80);
    CHECK(::if_nametoindex("nbt1-3") != 0);
    CHECK(networks->destroy(3));
    CHECK(networks->destroy(3));
    CHECK(::if_nametoindex("nbt1-3") == 0);
    CHECK(slots(*networks) == std::vector<int>{0});
    CHECK(networks->close());
    CHECK(slots(*networks).empty());
    CHECK(::rmdir(directory.path().c_str()) == 0);
  });
}

TEST_CASE("a slot half made by a crash is found and removed") {
  on_scratch_host([] {
    const TemporaryDirectory directory;
    auto networks = SlotNetworks::open(options_in(directory));
    // The handle's file without its mount, as a crash between the two leaves it.
    CHECK(write_file_atomically(networks->describe(5).namespace_path, ""));
    CHECK(networks->list_slots()->size() == 1);
    CHECK(networks->create(5));
    CHECK(networks->close());
    CHECK(networks->list_slots()->empty());
  });
}

TEST_CASE("options that make no sense are refused") {
  const auto code = [](const std::function<void(SlotNetworkOptions&)>& change) {
    SlotNetworkOptions options;
    options.instance = "t1";
    change(options);
    return SlotNetworks::open(options).error().code;
  };
  CHECK(code([](auto& o) { o.instance = ""; }) == Code::bad_request);
  CHECK(code([](auto& o) { o.instance = "UPPER"; }) == Code::bad_request);
  CHECK(code([](auto& o) { o.instance = "toolong"; }) == Code::bad_request);
  CHECK(code([](auto& o) { o.egress_range = "198.18.0.0"; }) == Code::bad_request);
  CHECK(code([](auto& o) { o.egress_refused = {"1.2.3.0/24; flush ruleset"}; }) ==
        Code::bad_request);
}
