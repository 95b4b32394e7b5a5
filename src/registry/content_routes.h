// One repository as operators see it: itself, its tags, its manifests.
//
//   GET /api/v1/repositories/{name...}
//   GET /api/v1/repository-tags?repository=ORG/NAME
//   GET /api/v1/repository-manifests?repository=ORG/NAME
//
// Whoever may pull from it may look; to everybody else it does not exist.
//
// Threads: the loop's.
#pragma once

#include "net/page.h"
#include "net/router.h"
#include "registry/contents.h"
#include "registry/core.h"

namespace nimbus::registry {

class ContentRoutes {
 public:
  explicit ContentRoutes(Core& core) : core_(core) {}
  void add_to(net::Router& router);

 private:
  Task<net::Response> show(net::Request& request);
  Task<net::Response> tags(net::Request& request);
  Task<net::Response> manifests(net::Request& request);
  // not_found: no such repository, or not for this caller.
  Task<Result<void>> check(net::Request& request, std::string_view repository);

  Core& core_;
};

}  // namespace nimbus::registry
