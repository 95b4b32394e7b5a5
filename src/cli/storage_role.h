// The storage that the cache and registry roles of a process share: one blob store, the room each
// org has in it, and its upkeep.
//
// Threads: made before the loop runs (blocking); the rest the loop's.
#pragma once

#include <memory>
#include <string>

#include "base/metrics.h"
#include "blob/quota.h"
#include "blob/store_watch.h"
#include "blob/upkeep.h"
#include "cli/access_parts.h"
#include "cli/config.h"
#include "control/health.h"
#include "net/loop.h"

namespace nimbus::cli {

struct StorageRoleOptions {
  const Config& config;
  std::string data;  // the data directory
};

class StorageRole {
 public:
  static Result<std::unique_ptr<StorageRole>> open(net::Loop& loop, Metrics& metrics,
                                                   AccessParts& parts,
                                                   const StorageRoleOptions& options);
  // Begins the upkeep: once the cache and the registry have said what they evict and drop.
  void start();
  void stop();

  blob::Store& store() { return *store_; }
  blob::QuotaBook& quota() { return *quota_; }
  const blob::StoreWatch& watch() const { return *watch_; }
  blob::LossBook& losses() { return upkeep_->losses(); }

 private:
  StorageRole() = default;
  std::unique_ptr<blob::Store> store_;
  std::unique_ptr<blob::QuotaBook> quota_;
  std::unique_ptr<blob::Upkeep> upkeep_;
  std::unique_ptr<blob::StoreWatch> watch_;
};

// The part `storage` of /readyz.
control::PartHealth health_of(const StorageRole& storage);

// The store that the configuration names. `owner`: see OpenStoreOptions.
Result<std::unique_ptr<blob::Store>> open_configured_store(net::Loop& loop, const Config& config,
                                                           const std::string& data, bool owner);

}  // namespace nimbus::cli
