// The registry's housekeeping, while everything else goes on: writes what was used, ends uploads
// left alone, and sweeps repository after repository. Nothing is ever read-only for it.
//
// Threads: the loop's.
#pragma once

#include <string>

#include "registry/core.h"
#include "registry/sweep.h"
#include "registry/upload_requests.h"

namespace nimbus::registry {

class Collector {
 public:
  Collector(Core& core, UploadRequests& uploads, Metrics& metrics);

  // One round over everything.
  Task<Result<Swept>> sweep();
  Task<void> run();  // for ever
  // Makes room in an org's quota: what nothing refers to, least recently used first.
  Task<Result<int64_t>> evict(blob::EvictionRequest request);
  const std::string& fault() const { return fault_; }

 private:
  Task<Result<Swept>> sweep_one(const RepositoryRow& repository);
  void count(const Swept& swept);

  Core& core_;
  UploadRequests& uploads_;
  Counter& tags_removed_;
  Counter& manifests_removed_;
  Counter& blobs_removed_;
  std::string fault_;
};

}  // namespace nimbus::registry
