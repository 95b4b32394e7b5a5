// Names for one guest: DNS questions that come to its gateway go to the host's resolver, and the
// answers back. Questions are not read beyond their header; one guest's open questions are bounded,
// and an answer counts only from the resolver, with the number that was asked.
//
// Threads: the loop's.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "net/loop.h"
#include "os/unique_fd.h"

namespace nimbus::agent {

constexpr size_t kDnsMessageBytesMax = 4096;
constexpr int kDnsQuestionsMax = 64;  // open at once
constexpr Duration kDnsAnswerTime = std::chrono::seconds(5);

struct DnsResolver {
  std::string address;
  uint16_t port = 53;
};

// The first nameserver of a resolv.conf's text.
std::optional<DnsResolver> find_resolver(std::string_view resolv_conf);

class DnsForwarder {
 public:
  // Serves on the UDP socket `listener`. bad_request: the resolver's address is not one.
  static Result<std::unique_ptr<DnsForwarder>> open(net::Loop& loop, os::UniqueFd listener,
                                                    const DnsResolver& resolver);
  ~DnsForwarder();

  struct State;

 private:
  explicit DnsForwarder(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace nimbus::agent
