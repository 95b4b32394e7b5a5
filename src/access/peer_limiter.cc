#include "access/peer_limiter.h"

#include <arpa/inet.h>

#include <array>

namespace nimbus::access {
namespace {

// What one host usually owns: an IPv4 address, or the /64 of an IPv6 one.
std::string network_of(std::string_view peer) {
  std::string text(peer.substr(0, INET6_ADDRSTRLEN));
  std::array<char, 16> bytes{};
  if (inet_pton(AF_INET6, text.c_str(), bytes.data()) != 1) return text;
  constexpr std::string_view kMappedPrefix("\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
  const std::string_view whole(bytes.data(), bytes.size());
  if (whole.starts_with(kMappedPrefix)) {
    std::array<char, INET_ADDRSTRLEN> shown{};
    inet_ntop(AF_INET, bytes.data() + kMappedPrefix.size(), shown.data(), shown.size());
    return shown.data();
  }
  return "/64 " + std::string(whole.substr(0, 8));
}

}  // namespace

PeerLimiter::PeerLimiter(BucketRate rate, const Clock& clock, size_t peers_max)
    : rate_(rate), clock_(clock), peers_max_(peers_max) {}

PeerLimiter::Entry& PeerLimiter::entry(std::string_view peer) {
  std::string key = network_of(peer);
  if (const auto found = buckets_.find(key); found != buckets_.end()) {
    recent_.splice(recent_.begin(), recent_, found->second);
    return recent_.front();
  }
  if (buckets_.size() >= peers_max_) {
    buckets_.erase(recent_.back().peer);
    recent_.pop_back();
  }
  recent_.push_front({key, full_bucket(rate_, clock_.now())});
  buckets_.emplace(std::move(key), recent_.begin());
  return recent_.front();
}

std::optional<Duration> PeerLimiter::take(std::string_view peer) {
  Entry& known = entry(peer);
  const BucketTake outcome = access::take(known.bucket, rate_, clock_.now());
  known.bucket = outcome.bucket;
  if (outcome.granted) return std::nullopt;
  return outcome.retry_after;
}

std::optional<Duration> PeerLimiter::exhausted(std::string_view peer) const {
  const auto found = buckets_.find(network_of(peer));
  if (found == buckets_.end()) return std::nullopt;
  const BucketTake outcome = access::take(found->second->bucket, rate_, clock_.now());
  if (outcome.granted) return std::nullopt;
  return outcome.retry_after;
}

}  // namespace nimbus::access
