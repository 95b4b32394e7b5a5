#include "cli/storage_role.h"

#include "base/clock.h"
#include "blob/disk_store.h"

namespace nimbus::cli {

Result<std::unique_ptr<StorageRole>> StorageRole::open(net::Loop& loop, Metrics& metrics,
                                                       AccessParts& parts,
                                                       const std::string& directory) {
  std::unique_ptr<StorageRole> role(new StorageRole());
  role->store_ = TRY_IN("opening the blob store",
                        blob::DiskStore::open_directory(loop, {.directory = directory}));
  blob::QuotaBook::Options options;
  options.limits = [&orgs = parts.orgs](db::Transaction& tx, const std::string& org,
                                        blob::Use use) -> Result<blob::QuotaLimits> {
    const control::OrgLimits limits = TRY(orgs.limits_in(tx, org));
    return blob::QuotaLimits{use == blob::Use::cache ? limits.cache_bytes_max
                                                     : limits.registry_bytes_max};
  };
  role->quota_ =
      std::make_unique<blob::QuotaBook>(*parts.database, *role->store_, std::move(options));
  role->upkeep_ =
      std::make_unique<blob::Upkeep>(loop, *parts.database, *role->store_, *role->quota_,
                                     system_clock(), metrics, blob::UpkeepOptions());
  return role;
}

}  // namespace nimbus::cli
