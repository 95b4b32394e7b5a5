#include "agent/dns_forwarder.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <thread>

using namespace nimbus;
using namespace nimbus::agent;

namespace {

struct UdpSocket {
  os::UniqueFd fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  uint16_t port = 0;
  UdpSocket() {
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    REQUIRE_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    (void)::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port = ntohs(address.sin_port);
    const timeval patience{10, 0};
    (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  static sockaddr_in loopback(uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }
  void send(const std::string& message, uint16_t to) const {
    const sockaddr_in address = loopback(to);
    (void)::sendto(fd.get(), message.data(), message.size(), 0,
                   reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  std::string receive(uint16_t& from) const {
    std::array<char, 4096> buffer{};
    sockaddr_in address{};
    socklen_t size = sizeof address;
    const ssize_t count = ::recvfrom(fd.get(), buffer.data(), buffer.size(), 0,
                                     reinterpret_cast<sockaddr*>(&address), &size);
    from = ntohs(address.sin_port);
    return count < 0 ? "" : std::string(buffer.data(), static_cast<size_t>(count));
  }
};

std::string message(char id, bool answer, const std::string& body) {
  std::string text(12, '\0');
  text[0] = id;
  text[2] = answer ? '\x81' : '\x01';
  return text + body;
}

}  // namespace

TEST_CASE("a question goes to the resolver and only its own answer comes back") {
  net::Loop loop;
  const UdpSocket resolver, guest;
  UdpSocket listener;
  const uint16_t gateway = listener.port;
  auto forwarder = DnsForwarder::open(loop, std::move(listener.fd), {"127.0.0.1", resolver.port});
  REQUIRE(forwarder);
  std::thread thread([&loop] { loop.run(); });
  guest.send("short", gateway);
  guest.send(message(1, true, "an answer is no question"), gateway);
  guest.send(message(7, false, "name?"), gateway);
  uint16_t asker = 0, from = 0;
  CHECK_EQ(resolver.receive(asker), message(7, false, "name?"));
  resolver.send(message(8, true, "forged"), asker);
  resolver.send(message(7, false, "not an answer"), asker);
  resolver.send(message(7, true, "192.0.2.1"), asker);
  CHECK_EQ(guest.receive(from), message(7, true, "192.0.2.1"));
  CHECK_EQ(from, gateway);
  loop.stop();
  thread.join();
}

TEST_CASE("the first nameserver of a resolv.conf is the resolver") {
  CHECK_EQ(
      find_resolver("# nameserver 9.9.9.9\nsearch x\nnameserver\t10.0.0.2 \nnameserver 1.1.1.1\n")
          ->address,
      "10.0.0.2");
  CHECK_FALSE(find_resolver("nameserver\nnameservers 1.1.1.1\n"));
}
