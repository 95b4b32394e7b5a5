// Artifacts, version 4 of GitHub's protocol: Twirp service github.actions.results.api.v1
// .ArtifactService. A job reaches the artifacts of its own run and of no other; the ids in a
// request must be those of the token that is shown.
//
// Threads: the loop's.
#pragma once

#include "cache/artifact_store.h"
#include "cache/core.h"
#include "cache/upload_book.h"
#include "net/router.h"

namespace nimbus::cache {

class ArtifactService {
 public:
  ArtifactService(Core& core, UploadBook& uploads) : core_(core), uploads_(uploads) {}
  void add_to(net::Router& router);

 private:
  struct Call;  // who asks, for which run, with what
  Task<Result<Call>> admit(const net::Request& request);
  Task<net::Response> create(net::Request& request);
  Task<net::Response> finalize(net::Request& request);
  Task<net::Response> list(net::Request& request);
  Task<net::Response> sign(net::Request& request);
  Task<net::Response> remove(net::Request& request);
  Task<Result<std::optional<Artifact>>> find(const RunPlace& place, const std::string& name);
  Task<Result<int64_t>> enter(const Call& call, std::string name,
                              std::shared_ptr<UploadSession> session);

  Core& core_;
  UploadBook& uploads_;
};

}  // namespace nimbus::cache
