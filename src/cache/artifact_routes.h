// Artifacts as operators see them, whatever run made them: the list, download and removal. Jobs
// have their own way to the artifacts of their own run (artifact_service.h).
//
// Threads: the loop's.
#pragma once

#include "cache/artifact_store.h"
#include "cache/core.h"
#include "cache/query.h"
#include "net/router.h"

namespace nimbus::cache {

class ArtifactRoutes {
 public:
  explicit ArtifactRoutes(Core& core) : core_(core) {}
  void add_to(net::Router& router);

 private:
  Task<net::Response> list(net::Request& request);
  Task<net::Response> content(net::Request& request);
  Task<net::Response> purge(net::Request& request);
  Task<net::Response> remove(net::Request& request);
  Task<Result<Removed>> remove_all(ArtifactFilter filter);

  Core& core_;
};

}  // namespace nimbus::cache
