// The cache as operators see it: entries, usage, the audit of who wrote what, removal.
//
// Threads: the loop's.
#pragma once

#include "cache/core.h"
#include "cache/entry_store.h"
#include "net/router.h"

namespace nimbus::cache {

class ListRoutes {
 public:
  explicit ListRoutes(Core& core) : core_(core) {}
  void add_to(net::Router& router);

 private:
  Task<net::Response> list(net::Request& request);
  Task<net::Response> audit(net::Request& request);
  Task<net::Response> usage(net::Request& request);
  Task<net::Response> org_usage(net::Request& request);
  Task<net::Response> purge(net::Request& request);
  Task<net::Response> remove(net::Request& request);

  Core& core_;
};

}  // namespace nimbus::cache
