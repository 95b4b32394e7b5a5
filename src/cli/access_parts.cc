#include "cli/access_parts.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "cli/migrations.h"

namespace nimbus::cli {
namespace {

control::OrgLimits default_limits(const Config& config) {
  control::OrgLimits limits;
  limits.jobs_per_minute = config.limits.jobs_per_minute;
  limits.concurrent_jobs = config.limits.concurrent_jobs;
  limits.cache_bytes_max = config.limits.cache_bytes_max;
  limits.registry_bytes_max = config.limits.registry_bytes_max;
  return limits;
}

}  // namespace

AccessParts::AccessParts(Metrics& metrics, std::unique_ptr<db::Database> opened,
                         const Config& config, const std::vector<Secret>& job_token_keys)
    : database(std::move(opened)),
      tokens(*database, system_clock(), system_random()),
      sessions(*database, tokens, system_clock(), system_random()),
      job_tokens(job_token_keys),
      ended_leases(*database, system_clock()),
      authenticator({tokens, sessions, job_tokens, ended_leases, system_clock(), &metrics}),
      orgs(*database, system_clock(), default_limits(config)) {}

Result<std::unique_ptr<AccessParts>> AccessParts::open(Metrics& metrics,
                                                       const AccessPartsOptions& options) {
  auto database =
      TRY_IN("opening the control database", db::Database::open({.url = options.database_url}));
  const int applied =
      TRY_IN("migrating the control database", migrate_all(*database, system_clock().now()));
  if (applied > 0) log_info("database migrated", {{"migrations", applied}});
  const auto keys =
      TRY_IN("job-token.key", access::parse_job_token_keys(options.job_token_key.reveal()));
  std::unique_ptr<AccessParts> parts(
      new AccessParts(metrics, std::move(database), options.config, keys));
  if (!TRY(parts->tokens.adopt_admin(options.admin_token))) {
    log_warn("admin.token has been revoked; make another admin's token or remove the file");
  }
  return parts;
}

}  // namespace nimbus::cli
