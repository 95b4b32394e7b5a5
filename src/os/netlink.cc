#include "os/netlink.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>

#include <array>
#include <cerrno>

#include "base/encoding.h"

namespace nimbus::os {

namespace {

// One request under construction.
class Message {
 public:
  Message(uint16_t type, uint16_t flags) {
    header_ = mnl_nlmsg_put_header(buffer_.data());
    header_->nlmsg_type = type;
    header_->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
  }
  template <typename T>
  T* extra() {
    return static_cast<T*>(mnl_nlmsg_put_extra_header(header_, sizeof(T)));
  }
  void put(uint16_t type, const void* data, size_t size) {
    mnl_attr_put(header_, type, size, data);
  }
  void put_text(uint16_t type, std::string_view text) {
    mnl_attr_put_strz(header_, type, std::string(text).c_str());
  }
  nlattr* begin(uint16_t type) { return mnl_attr_nest_start(header_, type); }
  void end(nlattr* nest) { mnl_attr_nest_end(header_, nest); }
  nlmsghdr* header() { return header_; }

 private:
  alignas(
      NLMSG_ALIGNTO) std::array<char, 1024> buffer_{};  // the largest request here is ~200 bytes
  nlmsghdr* header_;
};

Result<unsigned> find_index(std::string_view name) {
  const unsigned index = ::if_nametoindex(std::string(name).c_str());
  if (index == 0) return fail(Code::not_found, fmt::format("no network device {}", name));
  return index;
}

Result<in_addr> parse_address(std::string_view text) {
  in_addr address{};
  if (::inet_pton(AF_INET, std::string(text).c_str(), &address) != 1)
    return fail(Code::bad_request, fmt::format("not an IPv4 address: {:.40}", text));
  return address;
}

}  // namespace

Result<std::string> parse_mac(std::string_view text) {
  std::string digits;
  for (const char c : text)
    if (c != ':') digits += c;
  auto bytes = parse_hex(digits);
  if (!bytes || bytes->size() != 6 || text.size() != 17)
    return fail(Code::bad_request, fmt::format("not a MAC address: {:.40}", text));
  return bytes;
}

Result<Netlink> Netlink::open() {
  mnl_socket* socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
  if (socket == nullptr) return fail(errno_error("opening a netlink socket", errno));
  Netlink link(socket);
  if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0)
    return fail(errno_error("binding a netlink socket", errno));
  return link;
}

Netlink::Netlink(Netlink&& other) noexcept
    : socket_(std::exchange(other.socket_, nullptr)), sequence_(other.sequence_) {}
Netlink::~Netlink() {
  if (socket_ != nullptr) mnl_socket_close(socket_);
}

Result<void> Netlink::send(nlmsghdr* message, std::string_view what) {
  message->nlmsg_seq = ++sequence_;
  if (mnl_socket_sendto(socket_, message, message->nlmsg_len) < 0)
    return fail(errno_error(what, errno));
  std::array<char, 8192> answer{};
  const auto got = mnl_socket_recvfrom(socket_, answer.data(), answer.size());
  if (got < 0) return fail(errno_error(what, errno));
  const int done = mnl_cb_run(answer.data(), static_cast<size_t>(got), sequence_,
                              mnl_socket_get_portid(socket_), nullptr, nullptr);
  if (done < 0) {
    Error error = errno_error(what, errno);
    if (errno == EPERM) error.code = Code::forbidden;
    if (errno == ENODEV) error.code = Code::not_found;
    return fail(std::move(error));
  }
  return {};
}

Result<void> Netlink::add_veth(std::string_view name, std::string_view peer_name,
                               int peer_namespace) {
  Message message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  message.extra<ifinfomsg>();
  message.put_text(IFLA_IFNAME, name);
  auto* info = message.begin(IFLA_LINKINFO);
  message.put_text(IFLA_INFO_KIND, "veth");
  auto* data = message.begin(IFLA_INFO_DATA);
  auto* peer = message.begin(VETH_INFO_PEER);
  message.extra<ifinfomsg>();
  message.put_text(IFLA_IFNAME, peer_name);
  message.put(IFLA_NET_NS_FD, &peer_namespace, sizeof peer_namespace);
  message.end(peer);
  message.end(data);
  message.end(info);
  return send(message.header(), fmt::format("making the veth pair {} and {}", name, peer_name));
}

Result<void> Netlink::delete_link(std::string_view name) {
  Message message(RTM_DELLINK, 0);
  message.extra<ifinfomsg>();
  message.put_text(IFLA_IFNAME, name);
  auto deleted = send(message.header(), fmt::format("deleting {}", name));
  if (!deleted && deleted.error().code == Code::not_found) return {};
  return deleted;
}

Result<void> Netlink::set_up(std::string_view name) {
  Message message(RTM_NEWLINK, 0);
  auto* info = message.extra<ifinfomsg>();
  info->ifi_index = static_cast<int>(TRY(find_index(name)));
  info->ifi_flags = IFF_UP;
  info->ifi_change = IFF_UP;
  return send(message.header(), fmt::format("bringing {} up", name));
}

Result<void> Netlink::set_mac(std::string_view name, std::string_view mac) {
  const auto bytes = TRY(parse_mac(mac));
  Message message(RTM_NEWLINK, 0);
  message.extra<ifinfomsg>()->ifi_index = static_cast<int>(TRY(find_index(name)));
  message.put(IFLA_ADDRESS, bytes.data(), bytes.size());
  return send(message.header(), fmt::format("setting the MAC address of {}", name));
}

Result<void> Netlink::add_address(std::string_view name, std::string_view address, uint8_t prefix) {
  const auto parsed = TRY(parse_address(address));
  Message message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
  auto* info = message.extra<ifaddrmsg>();
  info->ifa_family = AF_INET;
  info->ifa_prefixlen = prefix;
  info->ifa_index = TRY(find_index(name));
  message.put(IFA_LOCAL, &parsed, sizeof parsed);
  message.put(IFA_ADDRESS, &parsed, sizeof parsed);
  return send(message.header(), fmt::format("giving {} the address {}", name, address));
}

Result<void> Netlink::add_default_route(std::string_view gateway) {
  const auto parsed = TRY(parse_address(gateway));
  Message message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
  auto* info = message.extra<rtmsg>();
  info->rtm_family = AF_INET;
  info->rtm_table = RT_TABLE_MAIN;
  info->rtm_protocol = RTPROT_STATIC;
  info->rtm_scope = RT_SCOPE_UNIVERSE;
  info->rtm_type = RTN_UNICAST;
  message.put(RTA_GATEWAY, &parsed, sizeof parsed);
  return send(message.header(), fmt::format("routing through {}", gateway));
}

Result<void> Netlink::add_neighbour(std::string_view name, std::string_view address,
                                    std::string_view mac) {
  const auto parsed = TRY(parse_address(address));
  const auto bytes = TRY(parse_mac(mac));
  Message message(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE);
  auto* info = message.extra<ndmsg>();
  info->ndm_family = AF_INET;
  info->ndm_ifindex = static_cast<int>(TRY(find_index(name)));
  info->ndm_state = NUD_PERMANENT;
  message.put(NDA_DST, &parsed, sizeof parsed);
  message.put(NDA_LLADDR, bytes.data(), bytes.size());
  return send(message.header(), fmt::format("naming {} as neighbour on {}", address, name));
}

}  // namespace nimbus::os
