// The cache role put together from the configuration. Threads: made before the loop runs; the rest
// the loop's.
#pragma once

#include <memory>

#include "base/metrics.h"
#include "cache/cache.h"
#include "cli/access_parts.h"
#include "cli/config.h"
#include "cli/storage_role.h"
#include "control/health.h"
#include "net/loop.h"

namespace nimbus::cli {

struct CacheRoleOptions {
  const Config& config;
  Secret job_token_key;  // the key that signs URLs is derived from it
};

std::unique_ptr<cache::Cache> open_cache(net::Loop& loop, Metrics& metrics, AccessParts& parts,
                                         StorageRole& storage, const CacheRoleOptions& options);
control::PartHealth health_of(const cache::Cache& cache);

}  // namespace nimbus::cli
