// The registry role put together from the configuration. Threads: made before the loop runs; the
// rest the loop's.
#pragma once

#include <memory>

#include "base/metrics.h"
#include "cli/access_parts.h"
#include "cli/config.h"
#include "cli/storage_role.h"
#include "control/health.h"
#include "net/loop.h"
#include "registry/registry.h"

namespace nimbus::cli {

struct RegistryRoleOptions {
  const Config& config;
  Secret job_token_key;
};

Result<std::unique_ptr<registry::Registry>> open_registry(net::Loop& loop, Metrics& metrics,
                                                          AccessParts& parts, StorageRole& storage,
                                                          const RegistryRoleOptions& options);
control::PartHealth health_of(const registry::Registry& registry);

}  // namespace nimbus::cli
