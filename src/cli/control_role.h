// The control role put together: database, access, orgs, agents, jobs, sessions, dashboard.
//
// Threads: made before the loop runs (blocking); the rest the loop's.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "access/authenticator.h"
#include "access/job_token.h"
#include "access/session_book.h"
#include "access/token_book.h"
#include "base/metrics.h"
#include "cli/config.h"
#include "control/control.h"
#include "dashboard/session_routes.h"
#include "db/database.h"
#include "net/loop.h"
#include "net/router.h"

namespace nimbus::cli {

struct ControlRoleOptions {
  const Config& config;
  std::string database_url;
  std::string webhook_secrets_file;  // read again by reload_secrets
  Secret admin_token;
  Secret job_token_key;
};

class ControlRole {
 public:
  static Result<std::unique_ptr<ControlRole>> start(net::Loop& loop, Metrics& metrics,
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
  access::Authenticator& authenticator() { return authenticator_; }
  const access::JobTokens& job_tokens() const { return job_tokens_; }

 private:
  ControlRole(Metrics& metrics, std::unique_ptr<db::Database> database,
              const ControlRoleOptions& options, const std::vector<Secret>& job_token_keys);
  Result<void> open_control(net::Loop& loop, Metrics& metrics, const ControlRoleOptions& options);

  std::unique_ptr<db::Database> database_;
  access::TokenBook tokens_;
  access::SessionBook sessions_;
  access::JobTokens job_tokens_;
  access::Authenticator authenticator_;
  control::OrgStore orgs_;
  control::AgentStore agents_;
  std::string webhook_secrets_file_;
  std::unique_ptr<control::Control> control_;
  dashboard::SessionRoutes session_routes_;
};

}  // namespace nimbus::cli
