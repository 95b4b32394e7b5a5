// A token bucket per peer address, for what costs us something and an outsider nothing: failed
// authentications, webhook intake. Memory is bounded: past the limit the address that was quiet for
// longest is forgotten. IPv6 addresses count by their /64, which is what one host usually owns.
//
// Threads: the loop's.
#pragma once

#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "access/token_bucket.h"
#include "base/clock.h"

namespace nimbus::access {

constexpr size_t kPeersMax = 16'384;

class PeerLimiter {
 public:
  PeerLimiter(BucketRate rate, const Clock& clock, size_t peers_max = kPeersMax);

  // Takes one; nullopt when granted, else how long to wait (for Retry-After).
  std::optional<Duration> take(std::string_view peer);
  // Whether the peer has used up its bucket, taking nothing.
  std::optional<Duration> exhausted(std::string_view peer) const;
  size_t size() const { return buckets_.size(); }

 private:
  struct Entry {
    std::string peer;
    Bucket bucket;
  };
  Entry& entry(std::string_view peer);

  BucketRate rate_;
  const Clock& clock_;
  size_t peers_max_;
  std::list<Entry> recent_;  // most recent first
  std::unordered_map<std::string, std::list<Entry>::iterator> buckets_;
};

}  // namespace nimbus::access
