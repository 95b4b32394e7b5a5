// The repositories as operators see them: what is there, how much it takes, when it was last used;
// and purging.
//
//   GET    /api/v1/repositories            list, filter org
//   GET    /api/v1/repository-usage        by org
//   DELETE /api/v1/repositories/{name...}  all of it, `?tag=T`, or `?untagged=true`
//
// Threads: the loop's.
#pragma once

#include "net/router.h"
#include "registry/core.h"

namespace nimbus::registry {

class RepositoryRoutes {
 public:
  explicit RepositoryRoutes(Core& core) : core_(core) {}
  void add_to(net::Router& router);

 private:
  Task<net::Response> list(net::Request& request);
  Task<net::Response> usage(net::Request& request);
  Task<net::Response> purge(net::Request& request);

  Core& core_;
};

}  // namespace nimbus::registry
