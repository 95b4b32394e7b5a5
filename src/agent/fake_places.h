// Places without privileges: the gateway listens on a loopback port, and what would be made on a
// host is noted. Share one FakeHostState between two agents to play a restart.
//
// Threads: any, as Places asks.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "agent/places.h"

namespace nimbus::agent {

struct FakeHostState {
  std::mutex mutex;
  std::set<int> made;
  std::map<int, uint16_t> ports;  // of the gateways
  int made_count = 0;
  bool closed = false;

  uint16_t port(int index) {
    const std::lock_guard lock(mutex);
    return ports.contains(index) ? ports[index] : uint16_t{0};
  }
  size_t size() {
    const std::lock_guard lock(mutex);
    return made.size();
  }
};

class FakePlaces final : public Places {
 public:
  explicit FakePlaces(std::shared_ptr<FakeHostState> host) : host_(std::move(host)) {}

  Place describe(int index) const override {
    return Place{index, "slot-" + std::to_string(index), "/nowhere", std::nullopt, ""};
  }
  Result<Place> make(int index) override {
    const std::lock_guard lock(host_->mutex);
    host_->made.insert(index);
    ++host_->made_count;
    return describe(index);
  }
  Result<void> limit(const Place&, PlaceSize) override { return {}; }
  Result<os::UniqueFd> listen(const Place& place) override {
    os::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::listen(fd.get(), 16) != 0 ||
        ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      return fail(errno_error("listen", errno));
    }
    const std::lock_guard lock(host_->mutex);
    host_->ports[place.index] = ntohs(address.sin_port);
    return fd;
  }
  Result<os::UniqueFd> listen_dns(const Place&) override { return os::UniqueFd(); }
  Result<std::string> make_scratch(const Place&, int) override { return std::string("scratch"); }
  Result<void> remove(int index) override {
    const std::lock_guard lock(host_->mutex);
    host_->made.erase(index);
    return {};
  }
  Result<std::vector<int>> list() override {
    const std::lock_guard lock(host_->mutex);
    return std::vector<int>(host_->made.begin(), host_->made.end());
  }
  Result<void> close() override {
    const std::lock_guard lock(host_->mutex);
    host_->closed = true;
    return {};
  }

 private:
  std::shared_ptr<FakeHostState> host_;
};

}  // namespace nimbus::agent
