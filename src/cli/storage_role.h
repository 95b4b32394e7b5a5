// The storage that the cache and registry roles of a process share: one blob store, and the room
// each org has in it.
//
// Threads: made before the loop runs (blocking); the rest the loop's.
#pragma once

#include <memory>
#include <string>

#include "blob/quota.h"
#include "blob/store.h"
#include "blob/upkeep.h"
#include "cli/access_parts.h"
#include "cli/config.h"
#include "net/loop.h"

namespace nimbus::cli {

class StorageRole {
 public:
  // `directory` is where blobs lie.
  static Result<std::unique_ptr<StorageRole>> open(net::Loop& loop, Metrics& metrics,
                                                   AccessParts& parts,
                                                   const std::string& directory);
  // Collection, eviction and scrubbing; once every role has said what it does about lost blobs.
  void start() { upkeep_->start(); }
  void stop() { upkeep_->stop(); }

  blob::Store& store() { return *store_; }
  blob::QuotaBook& quota() { return *quota_; }
  blob::LossBook& losses() { return upkeep_->losses(); }

 private:
  StorageRole() = default;
  std::unique_ptr<blob::Store> store_;
  std::unique_ptr<blob::QuotaBook> quota_;
  std::unique_ptr<blob::Upkeep> upkeep_;
};

}  // namespace nimbus::cli
