// Pull-through mirrors: images of other registries, asked for with `?ns=HOST` as containerd and
// BuildKit do, fetched once and kept. A digest is for ever; a tag is asked for again after a short
// time (HEAD), and when the upstream is away the last answer is served with a Warning. Nothing is
// kept whose bytes are not its digest's. Large blobs are passed on while they come.
//
// What is mirrored shares no name with any org's repositories: it lives below "mirror:NAME/", which
// no client can write. Several requests for the same thing cause one fetch.
//
// Threads: the loop's.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "registry/blob_arrivals.h"
#include "registry/blob_requests.h"
#include "registry/core.h"
#include "registry/manifest_requests.h"
#include "registry/misses.h"
#include "registry/upstream.h"
#include "registry/visit.h"

namespace nimbus::registry {

class Mirror {
 public:
  Mirror(Core& core, ManifestRequests& manifests, Metrics& metrics);

  // Answers a request that carried `?ns=`; 404 for an upstream that is not mirrored, so that the
  // client turns to it itself.
  Task<net::Response> serve(Visit& visit, std::string_view ns);

 private:
  struct Outcomes {
    Counter& hit;
    Counter& fetched;
    Counter& stale;
    Counter& failed;
  };
  struct Item {
    Upstream& upstream;
    std::string repository;  // the upstream's name of it
    std::string own;         // ours: "mirror:NAME/repository"
    std::string reference;
  };
  Upstream* find(std::string_view ns);
  Task<net::Response> manifest(Visit& visit, const Item& item);
  Task<net::Response> blob(Visit& visit, const Item& item);
  Task<Result<bool>> refresh_tag(const Item& item, const std::string& known_digest);
  Task<Result<bool>> fetch_manifest(const Item& item, const std::string& tag);
  // Runs `fetch` unless it runs already for the same thing; then waits for that one.
  Task<Result<bool>> once(const Item& item, const std::function<Task<Result<bool>>()>& fetch);
  net::Response fail_with(const Error& error);

  Core& core_;
  ManifestRequests& manifests_;
  BlobRequests blobs_;
  BlobArrivals arrivals_;
  Misses misses_;  // by own repository and reference
  Outcomes outcomes_;
  std::map<std::string, std::unique_ptr<Upstream>, std::less<>> upstreams_;  // by ns
  struct Flight;
  std::map<std::string, std::shared_ptr<Flight>> flights_;  // by own repository and reference
};

}  // namespace nimbus::registry
