// The control role put together: agents, jobs, sessions, dashboard.
//
// Threads: made before the loop runs (blocking); the rest the loop's.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "cli/access_parts.h"
#include "cli/config.h"
#include "control/control.h"
#include "dashboard/session_routes.h"
#include "net/loop.h"
#include "net/router.h"

namespace nimbus::cli {

struct ControlRoleOptions {
  const Config& config;
  std::string webhook_secrets_file;  // read again by reload_secrets
};

class ControlRole {
 public:
  static Result<std::unique_ptr<ControlRole>> start(net::Loop& loop, Metrics& metrics,
                                                    AccessParts& parts,
                                                    const ControlRoleOptions& options);
  void add_routes(net::Router& router);
  // Reads the webhook secrets again; on an error the old ones stay.
  Result<void> reload_secrets();
  // A new one-time token for the agent of this very process. Blocking, before the loop runs.
  Result<Secret> enroll_local_agent();
  void stop() { control_->stop(); }

  // Called on the loop when a job has ended.
  void on_job_ended(std::function<void(int64_t)> call) {
    control_->board().on_ended(std::move(call));
  }

  control::Health& health() { return control_->health(); }

 private:
  ControlRole(AccessParts& parts, const ControlRoleOptions& options);
  Result<void> open_control(net::Loop& loop, Metrics& metrics, const ControlRoleOptions& options);

  AccessParts& parts_;
  control::AgentStore agents_;
  std::string webhook_secrets_file_;
  std::unique_ptr<control::Control> control_;
  dashboard::SessionRoutes session_routes_;
};

// The token that /metrics wants; nullopt: loopback only. Blocking.
// Of a file with one secret a line; not_found, or bad_request when a line is no secret.
Result<std::vector<Secret>> read_webhook_secrets(const std::string& file);
Result<std::optional<Secret>> read_metrics_token(const Config& config);

}  // namespace nimbus::cli
