#include "cli/cache_role.h"

#include "base/clock.h"
#include "base/random.h"

namespace nimbus::cli {

std::unique_ptr<cache::Cache> open_cache(net::Loop& loop, Metrics& metrics, AccessParts& parts,
                                         StorageRole& storage, const CacheRoleOptions& options) {
  const auto& config = options.config.cache;
  cache::CacheOptions wanted;
  // The first key signs; the second only verifies tokens made before a rotation.
  const std::string& keys = options.job_token_key.reveal();
  wanted.url_key = Secret(keys.substr(0, keys.find('\n')));
  wanted.idle = std::chrono::hours(24 * config.idle_days);
  wanted.reservation_ttl = std::chrono::seconds(config.reservation_ttl_s);
  wanted.artifact_retention = std::chrono::hours(24 * config.artifact_days);
  wanted.entry_bytes_max = config.entry_bytes_max;
  auto opened = std::make_unique<cache::Cache>(
      cache::CacheParts{loop, *parts.database, storage.store(), storage.quota(),
                        parts.authenticator, system_clock(), system_random(), metrics},
      std::move(wanted));
  opened->start();
  return opened;
}

control::PartHealth health_of(const cache::Cache& cache) {
  if (!cache.status().failing) return {};
  return {control::PartStatus::degraded, "its database does not take writes"};
}

}  // namespace nimbus::cli
