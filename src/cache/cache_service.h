// The Actions cache protocol, version 2: Twirp service github.actions.results.api.v1.CacheService.
// What is refused by policy or for want of room is an answer with `ok` false, which clients report
// as a warning: a cache never fails a job.
//
// Threads: the loop's.
#pragma once

#include "cache/actions_entries.h"
#include "net/router.h"

namespace nimbus::cache {

class CacheService {
 public:
  CacheService(Core& core, ActionsEntries& entries) : core_(core), entries_(entries) {}
  void add_to(net::Router& router);

 private:
  Task<net::Response> create(net::Request& request);
  Task<net::Response> finalize(net::Request& request);
  Task<net::Response> find(net::Request& request);

  Core& core_;
  ActionsEntries& entries_;
};

}  // namespace nimbus::cache
