#include "cli/registry_role.h"

#include "base/clock.h"

namespace nimbus::cli {
namespace {

registry::Options read_options(const Config& config) {
  registry::Options options;
  options.runner_org = config.registry.runner_org;
  options.org_uploads_max = config.registry.org_uploads_max;
  options.upload_ttl = std::chrono::hours(config.registry.upload_ttl_h);
  options.blob_grace = std::chrono::seconds(config.registry.blob_grace_s);
  options.sweep_every = std::chrono::seconds(config.registry.sweep_interval_s);
  options.retention = config.registry.retention;
  options.mirrors = config.registry.mirrors;
  return options;
}

}  // namespace

Result<std::unique_ptr<registry::Registry>> open_registry(net::Loop& loop, Metrics& metrics,
                                                          AccessParts& parts, StorageRole& storage,
                                                          const RegistryRoleOptions& options) {
  // The first key signs; the rest verify job tokens made before a rotation.
  const std::string& keys = options.job_token_key.reveal();
  auto opened = std::make_unique<registry::Registry>(
      registry::Registry::Parts{loop, *parts.database, storage.store(), storage.quota(),
                                storage.losses(), parts.authenticator, metrics, system_clock(),
                                Secret(keys.substr(0, keys.find('\n')))},
      read_options(options.config));
  opened->start();
  return opened;
}

control::PartHealth health_of(const registry::Registry& registry) {
  if (registry.fault().empty()) return {};
  return {control::PartStatus::degraded, registry.fault()};
}

}  // namespace nimbus::cli
