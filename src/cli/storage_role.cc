#include "cli/storage_role.h"

#include "base/clock.h"
#include "blob/open_store.h"
#include "cli/storage_entries.h"

namespace nimbus::cli {
namespace {

blob::QuotaBook::Options quota_options(const Config& config, const control::OrgStore& orgs) {
  blob::QuotaBook::Options options;
  options.free_bytes_min = config.blob.free_bytes_min;
  options.high_percent = static_cast<int>(config.blob.quota_high_percent);
  options.low_percent = static_cast<int>(config.blob.quota_low_percent);
  options.disk_high_percent = static_cast<int>(config.blob.disk_high_percent);
  options.disk_low_percent = static_cast<int>(config.blob.disk_low_percent);
  options.limits = [&orgs, cache_repo = config.limits.cache_repo_bytes_max,
                    registry_repo = config.limits.registry_repo_bytes_max](
                       db::Transaction& tx, const std::string& org,
                       blob::Use use) -> Result<blob::QuotaLimits> {
    const control::OrgLimits limits = TRY(orgs.limits_in(tx, org));
    if (use == blob::Use::cache) return blob::QuotaLimits{limits.cache_bytes_max, cache_repo};
    return blob::QuotaLimits{limits.registry_bytes_max, registry_repo};
  };
  return options;
}

}  // namespace

Result<std::unique_ptr<blob::Store>> open_configured_store(net::Loop& loop, const Config& config,
                                                           const std::string& data, bool owner) {
  blob::OpenStoreOptions options;
  options.url = config.blob.store;
  options.directory = data + "/blobs";
  options.owner = owner;
  options.near_cache_bytes_max = config.blob.near_cache_bytes_max;
  options.s3_access_key_id = config.blob.s3_access_key_id;
  options.s3_secret_access_key = config.blob.s3_secret_access_key;
  options.s3_ca_file = config.blob.s3_ca_file;
  return TRY_IN("opening the blob store", blob::open_store(loop, options));
}

Result<std::unique_ptr<StorageRole>> StorageRole::open(net::Loop& loop, Metrics& metrics,
                                                       AccessParts& parts,
                                                       const StorageRoleOptions& options) {
  const Config& config = options.config;
  std::unique_ptr<StorageRole> role(new StorageRole());
  role->store_ = TRY(open_configured_store(loop, config, options.data, true));
  db::Database& database = *parts.database;
  role->quota_ =
      std::make_unique<blob::QuotaBook>(database, *role->store_, quota_options(config, parts.orgs));
  blob::UpkeepOptions upkeep;
  upkeep.garbage_grace = std::chrono::seconds(config.blob.garbage_grace_s);
  upkeep.upload_idle = std::chrono::seconds(config.blob.upload_idle_s);
  upkeep.scrub_bytes_per_second = config.blob.scrub_bytes_per_s;
  role->upkeep_ = std::make_unique<blob::Upkeep>(loop, database, *role->store_, *role->quota_,
                                                 system_clock(), metrics, upkeep);
  register_losses(role->upkeep_->losses());
  role->watch_ =
      std::make_unique<blob::StoreWatch>(loop, *role->store_, config.blob.free_bytes_min, metrics);
  return role;
}

void StorageRole::start() {
  upkeep_->start();
  watch_->start();
}

void StorageRole::stop() {
  watch_->stop();
  upkeep_->stop();
}

control::PartHealth health_of(const StorageRole& storage) {
  using State = blob::StoreWatch::State;
  const auto& [state, detail] = storage.watch().view();
  switch (state) {
    case State::unknown: return {control::PartStatus::starting, detail};
    case State::good: return {control::PartStatus::ok, detail};
    case State::full: return {control::PartStatus::degraded, detail};
    case State::down: break;
  }
  return {control::PartStatus::unavailable, detail};
}

}  // namespace nimbus::cli
