// Lists of a repository: its tags in byte order, and the manifests that name one as their subject.
// Both come in pages: `n` and `last`, and a Link to the next one.
//
// Threads: the loop's.
#pragma once

#include "registry/core.h"
#include "registry/visit.h"

namespace nimbus::registry {

constexpr int64_t kTagsPageMax = 10'000;
constexpr int64_t kReferrersPageMax = 1'000;

class ListingRequests {
 public:
  explicit ListingRequests(Core& core) : core_(core) {}

  Task<net::Response> tags(Visit& visit);
  Task<net::Response> referrers(Visit& visit);

 private:
  Core& core_;
};

}  // namespace nimbus::registry
