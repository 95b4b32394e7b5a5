// GET, HEAD, PUT and DELETE of manifests, by tag or by digest. The bytes are served as they were
// sent. A push names only what the repository has; DELETE of a tag takes the tag alone, of a digest
// the manifest and its tags.
//
// Threads: the loop's.
#pragma once

#include "registry/core.h"
#include "registry/manifest_document.h"
#include "registry/visit.h"

namespace nimbus::registry {

class ManifestRequests {
 public:
  explicit ManifestRequests(Core& core) : core_(core) {}

  Task<net::Response> get(Visit& visit);  // HEAD too
  Task<net::Response> put(Visit& visit);
  Task<net::Response> remove(Visit& visit);

  // What `reference` (a tag or a digest) is in the repository; nullopt: nothing.
  Task<Result<std::optional<CachedContent>>> find(const std::string& repository,
                                                  const std::string& reference);
  // Stores a manifest's bytes and its row. The digests the repository lacks; with any, nothing is
  // stored.
  Task<Result<std::vector<std::string>>> store(std::string repository, std::string bytes,
                                               blob::Digest digest, ManifestDocument document,
                                               std::vector<std::string> tags,
                                               bool check_references);

 private:
  struct Target {
    blob::Digest digest;
    std::vector<std::string> tags;
  };
  static Result<Target> judge_target(const Visit& visit, std::string_view bytes);

  Core& core_;
};

net::Response manifest_unknown();

}  // namespace nimbus::registry
