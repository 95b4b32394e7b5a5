// Blobs on their way from an upstream into the store: one transfer for all who ask together, who
// read it while it comes (blob::Upload::follow). It goes on when they leave. Private to this
// folder.
//
// Threads: the loop's.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "registry/core.h"
#include "registry/misses.h"
#include "registry/upstream.h"

namespace nimbus::registry {

class BlobArrivals {
 public:
  struct Wanted {
    Upstream& upstream;
    std::string repository;  // the upstream's name of it
    std::string own;         // ours
    blob::Digest digest;
  };
  explicit BlobArrivals(Core& core) : core_(core), misses_(core.clock) {}

  // Returns the blob as it comes, or nullptr: it is stored and `own` refers to it. Small ones are
  // waited for. not_found: the upstream has not got it. unavailable: it does not answer, or with
  // other bytes.
  Task<Result<std::shared_ptr<const blob::OpenBlob>>> get(Wanted wanted);

 private:
  struct Transfer;
  static Task<void> run(BlobArrivals* arrivals, std::shared_ptr<Transfer> transfer,
                        std::string key);
  Task<Result<void>> receive(Transfer& transfer);

  Core& core_;
  Misses misses_;
  std::map<std::string, std::shared_ptr<Transfer>> transfers_;  // by `own` and digest
};

}  // namespace nimbus::registry
