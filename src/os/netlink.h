// The few rtnetlink requests that a slot's network needs, each one round trip to the kernel in the
// calling thread's network namespace.
//
// Threads: any; one socket a Netlink.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

struct mnl_socket;
struct nlmsghdr;

namespace nimbus::os {

class Netlink {
 public:
  static Result<Netlink> open();
  Netlink(Netlink&& other) noexcept;
  Netlink& operator=(Netlink&&) = delete;
  ~Netlink();

  // A veth pair: `name` here, `peer_name` in the namespace behind `peer_namespace`.
  Result<void> add_veth(std::string_view name, std::string_view peer_name, int peer_namespace);
  Result<void> delete_link(std::string_view name);  // absent is done
  Result<void> set_up(std::string_view name);
  Result<void> set_mac(std::string_view name, std::string_view mac);
  Result<void> add_address(std::string_view name, std::string_view address, uint8_t prefix);
  Result<void> add_default_route(std::string_view gateway);
  // A neighbour that never expires, so that nobody has to ask for it or may answer for it.
  Result<void> add_neighbour(std::string_view name, std::string_view address, std::string_view mac);

 private:
  explicit Netlink(mnl_socket* socket) : socket_(socket) {}
  Result<void> send(nlmsghdr* message, std::string_view what);
  mnl_socket* socket_;
  uint32_t sequence_ = 0;
};

// bad_request: not six hexadecimal pairs.
Result<std::string> parse_mac(std::string_view text);  // six bytes

}  // namespace nimbus::os
