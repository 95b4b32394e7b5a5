// The control role: intake, jobs, leases. Owns what the role keeps in memory and its routes; the
// database, agents, orgs and authentication are passed in and outlive it.
//
//   db::migrate(database, control_migrations(), now);   // and those of access, orgs, agents
//   auto control = TRY(Control::open(parts, options));  // blocking: reads the database
//   control->add_routes(router);                        // of agents, orgs and tokens as well
//   control->start();                                   // spawns the sweeper
//
// Threads: `open` before the loop runs; the rest the loop's.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "access/authenticator.h"
#include "access/job_token.h"
#include "access/session_book.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "control/agent_routes.h"
#include "control/agent_store.h"
#include "control/batch_writer.h"
#include "control/board.h"
#include "control/health.h"
#include "control/lease_book.h"
#include "control/migrations.h"
#include "control/org_routes.h"
#include "control/org_store.h"
#include "control/token_routes.h"
#include "control/webhook.h"
#include "db/database.h"
#include "net/loop.h"
#include "net/router.h"

namespace nimbus::control {

constexpr Duration kSweepEvery = std::chrono::seconds(1);
constexpr Duration kHousekeepEvery = std::chrono::minutes(10);

struct ControlOptions {
  WebhookOptions webhook;               // with the profiles and tries_max
  std::vector<Secret> webhook_secrets;  // of the webhook's mode
  Duration lease_ttl = std::chrono::seconds(60);
  std::optional<Secret> metrics_token;
};

class Control {
 public:
  struct Parts {
    net::Loop& loop;
    db::Database& database;
    const Clock& clock;
    Metrics& metrics;
    AgentStore& agents;
    OrgStore& orgs;
    access::TokenBook& tokens;
    access::Authenticator& authenticator;
    access::SessionBook& sessions;
    const access::JobTokens& job_tokens;
  };

  // Reads what the database holds. Leases found there get a fresh time to live. Takes over the
  // on_change calls of `agents` and `orgs`.
  static Result<std::unique_ptr<Control>> open(Parts parts, ControlOptions options);
  ~Control();

  void add_routes(net::Router& router);
  // Spawns the sweeper and the publisher of events.
  void start();
  // For the other roles' parts; filled before the server starts.
  Health& health() { return health_; }
  Board& board() { return board_; }

  // After a reload of the secrets file.
  void set_webhook_secrets(const std::vector<Secret>& secrets) { webhook_.set_secrets(secrets); }
  // One step of the sweeper; the tests' clock decides when.
  Task<void> sweep();
  // No job is handed out any more, requests that wait are answered and the tasks end; the server's
  // own drain ends the rest. For good.
  void stop();

 private:
  struct Loaded;
  Control(Parts parts, ControlOptions options);
  Result<void> load();
  void adopt(const Loaded& loaded);
  Task<void> run_sweeper(std::shared_ptr<const bool> stopped);
  Task<void> housekeep();
  Task<void> end_forsaken(Time now);
  Task<void> probe_database();
  Task<void> count_agents();
  void follow_stores();
  Task<void> follow_limits(std::string org, std::shared_ptr<const bool> stopped);
  Task<void> publish_agent(model::AgentId id, std::shared_ptr<const bool> stopped);

  Parts parts_;
  ControlOptions options_;
  Board board_;
  BatchWriter writer_;
  LeaseBook leases_;
  Webhook webhook_;
  TokenRoutes token_routes_;
  OrgRoutes org_routes_;
  AgentRoutes agent_routes_;
  Health health_;
  PartHealth database_health_;
  std::string told_health_;
  Duration housekept_at_{0};
  Duration probed_at_{0};
  std::shared_ptr<bool> stopped_ = std::make_shared<bool>(false);
};

}  // namespace nimbus::control
