// The Actions cache protocol, version 1: REST below /_apis/artifactcache/.
//
// Threads: the loop's.
#pragma once

#include "cache/actions_entries.h"
#include "net/router.h"

namespace nimbus::cache {

class RestRoutes {
 public:
  RestRoutes(Core& core, ActionsEntries& entries) : core_(core), entries_(entries) {}
  void add_to(net::Router& router);

 private:
  Task<net::Response> find(net::Request& request);
  Task<net::Response> list(net::Request& request);
  Task<net::Response> reserve(net::Request& request);
  Task<net::Response> upload(net::Request& request);
  Task<net::Response> commit(net::Request& request);
  Task<Result<Reach>> admit(const net::Request& request);

  Core& core_;
  ActionsEntries& entries_;
};

}  // namespace nimbus::cache
