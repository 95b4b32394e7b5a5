#include "control/control.h"

#include "access/audit.h"
#include "access/ended_leases.h"
#include "base/log.h"
#include "base/text.h"
#include "control/delivery_routes.h"
#include "control/event_routes.h"
#include "control/job_orders.h"
#include "control/job_routes.h"
#include "control/lease_routes.h"
#include "control/standing.h"

namespace nimbus::control {
namespace {

constexpr int kForgottenAtOnce = 1'000;
constexpr Duration kProbeEvery = std::chrono::seconds(5);

DispatchLimits dispatch_limits(const OrgLimits& limits) {
  return {limits.jobs_per_minute, limits.concurrent_jobs};
}

}  // namespace

// What the database holds at the start.
struct Control::Loaded {
  std::vector<std::pair<model::JobState, int64_t>> counts;
  std::vector<std::pair<std::string, Ticket>> queued;
  std::vector<LiveLease> leases;
  std::vector<Org> orgs;
  std::vector<std::pair<std::string, access::Bucket>> buckets;
};

Control::Control(Parts parts, ControlOptions options)
    : parts_(parts),
      options_(std::move(options)),
      board_(parts.loop, parts.clock, parts.metrics, dispatch_limits(parts.orgs.defaults())),
      writer_(parts.loop, parts.database),
      leases_({parts.database, writer_, board_, parts.job_tokens, parts.clock, parts.metrics,
               options_.lease_ttl}),
      webhook_(
          {parts.loop, parts.database, writer_, parts.orgs, board_, parts.clock, parts.metrics},
          options_.webhook),
      token_routes_({parts.authenticator, parts.tokens, parts.database, parts.clock}),
      org_routes_(parts.authenticator, parts.orgs),
      agent_routes_(
          {parts.authenticator, parts.tokens, parts.agents, parts.clock,
           [this]() -> Task<Result<AgentJobs>> { co_return board_.leases().by_agent(); }}),
      housekept_at_(parts.clock.steady()),
      probed_at_(parts.clock.steady()) {
  webhook_.set_secrets(options_.webhook_secrets);
  health_.add("database", true, [this] { return database_health_; });
}

Control::~Control() { stop(); }

Result<std::unique_ptr<Control>> Control::open(Parts parts, ControlOptions options) {
  std::unique_ptr<Control> control(new Control(parts, std::move(options)));
  TRY_IN("reading jobs and leases", control->load());
  control->follow_stores();
  return control;
}

void Control::start() {
  parts_.loop.spawn(run_sweeper(stopped_), "control sweeper");
  parts_.loop.spawn(publish_jobs(board_, parts_.database, parts_.loop, stopped_), "job events");
}

Result<void> Control::load() {
  Loaded loaded;
  TRY(parts_.database.read_now([&](db::Transaction& tx) -> Result<void> {
    for (const db::Row& row :
         TRY(tx.query("SELECT 'queued', count(*) FROM jobs WHERE state = 'queued' UNION ALL "
                      "SELECT state, count(*) FROM jobs WHERE state <> 'queued' GROUP BY state"))) {
      const auto state = model::find_job_state(row.text(0));
      if (!state) return fail(Code::corrupt, "a job has the unknown state " + row.text(0));
      loaded.counts.emplace_back(*state, row.integer(1));
    }
    for (const db::Row& row :
         TRY(tx.query("SELECT id, org, cpus, memory_mb, disk_mb, created_us FROM jobs "
                      "WHERE state = 'queued' AND held = 0"))) {
      const model::Resources resources{static_cast<int>(row.integer(2)),
                                       static_cast<int>(row.integer(3)),
                                       static_cast<int>(row.integer(4))};
      loaded.queued.emplace_back(row.text(1), Ticket{row.integer(0), resources, row.time(5)});
    }
    for (const db::Row& row :
         TRY(tx.query("SELECT id, fence, agent, org, cancel_requested FROM jobs "
                      "WHERE state IN ('leased', 'running') AND state <> 'queued' "
                      "AND lease_expires_us IS NOT NULL"))) {
      loaded.leases.push_back({row.integer(0), row.integer(1), row.text(2), row.text(3),
                               Duration(0), row.integer(4) != 0, true});
    }
    for (const db::Row& row : TRY(tx.query("SELECT org, tokens, updated_us FROM job_buckets"))) {
      loaded.buckets.emplace_back(row.text(0), access::Bucket{row.real(1), row.time(2)});
    }
    loaded.orgs = TRY(parts_.orgs.all_in(tx));
    return {};
  }));
  adopt(loaded);
  return {};
}

void Control::adopt(const Loaded& loaded) {
  for (const auto& [state, jobs] : loaded.counts) board_.count(state, jobs);
  for (const Org& org : loaded.orgs) {
    board_.queue().set_limits(org.name, dispatch_limits(org.limits));
  }
  for (const auto& [org, bucket] : loaded.buckets) board_.queue().set_bucket(org, bucket);
  for (const auto& [org, ticket] : loaded.queued) board_.queue().add(org, ticket);
  for (LiveLease lease : loaded.leases) {
    lease.deadline = parts_.clock.steady() + options_.lease_ttl;
    board_.restore(std::move(lease));
  }
  log_info("control started", {{"queued", board_.queue().size()},
                               {"leases", board_.leases().size()},
                               {"webhook_secrets", options_.webhook_secrets.size()},
                               {"profiles", options_.webhook.profiles.size()},
                               {"lease_ttl_s", to_seconds(Time(options_.lease_ttl))}});
}

void Control::follow_stores() {
  parts_.orgs.on_change([this, stopped = stopped_](std::string org) {
    if (*stopped) return;
    parts_.loop.spawn(follow_limits(std::move(org), stopped), "org limits");
  });
  parts_.agents.on_barred([this, stopped = stopped_](const model::AgentId& id) {
    if (!*stopped) board_.turn_away(id.value);
  });
  parts_.agents.on_change([this, stopped = stopped_](model::AgentId id) {
    if (*stopped || !board_.events().has_subscribers()) return;
    parts_.loop.spawn(publish_agent(std::move(id), stopped), "agent event");
  });
}

Task<void> Control::follow_limits(std::string org, std::shared_ptr<const bool> stopped) {
  const auto found = co_await parts_.orgs.find(std::move(org));
  if (*stopped || !found || !*found) co_return;
  board_.queue().set_limits((*found)->name, dispatch_limits((*found)->limits));
  board_.dispatch();
}

// Agents belong to the installation, so their events go to those who may see every org.
Task<void> Control::publish_agent(model::AgentId id, std::shared_ptr<const bool> stopped) {
  const auto agent = co_await parts_.agents.find(id);
  if (*stopped || !agent || !*agent) co_return;
  board_.events().publish(
      "agent", EventBus::kInstallation,
      agent_json(**agent, board_.leases().of_agent(id.value), parts_.clock.now()));
}

void Control::add_routes(net::Router& router) {
  router.post("/webhooks/github", [this](net::Request& r) { return webhook_.receive(r); },
              {.body_bytes_max = kWebhookBodyBytesMax});
  add_job_routes(router,
                 {parts_.database, writer_, parts_.authenticator, parts_.orgs, board_, parts_.clock,
                  job_defaults(options_.webhook.profiles, options_.webhook.tries_max)});
  add_lease_routes(router, {parts_.authenticator, parts_.agents, board_, leases_, parts_.loop});
  token_routes_.add_to(router);
  org_routes_.add_to(router);
  agent_routes_.add_to(router);
  add_delivery_routes(router, parts_.database, parts_.authenticator);
  add_event_routes(router, board_, parts_.authenticator);
  add_health_routes(router, health_, parts_.metrics,
                    {options_.metrics_token, parts_.authenticator});
}

void Control::stop() {
  *stopped_ = true;
  board_.stop();
}

Task<void> Control::probe_database() {
  std::function<Result<int>(db::Transaction&)> work = [](db::Transaction& tx) -> Result<int> {
    TRY(tx.query("SELECT 1"));
    return 1;
  };
  const auto answer = co_await parts_.database.read<int>(std::move(work));
  database_health_ =
      answer ? PartHealth{} : PartHealth{PartStatus::unavailable, "it cannot be read"};
}

Task<void> Control::count_agents() {
  const auto swept = co_await parts_.agents.sweep();
  if (!swept) log_warn("sweeping agents", {{"error", swept.error().message}});
  const auto agents = co_await parts_.agents.list(false);
  if (!agents) co_return;
  std::map<AgentState, int> states = {
      {AgentState::online, 0}, {AgentState::offline, 0}, {AgentState::draining, 0}};
  int slots = 0;
  int slots_free = 0;
  for (const Agent& agent : *agents) {
    const AgentState state = agent.state(parts_.clock.now());
    ++states[state];
    if (state != AgentState::online) continue;
    slots += agent.slots;
    slots_free += agent.slots_free;
  }
  Metrics& metrics = parts_.metrics;
  for (const auto& [state, count] : states) {
    metrics.gauge("nimbus_agents", "Agents by state.", {{"state", std::string(to_string(state))}})
        .set(count);
  }
  metrics.gauge("nimbus_agent_slots", "Slots of the agents that are online.").set(slots);
  metrics.gauge("nimbus_agent_slots_free", "Slots of theirs that are free.").set(slots_free);
}

Task<void> Control::end_forsaken(Time now) {
  using Changes = std::vector<JobChange>;
  std::function<Result<Changes>(db::Transaction&)> work =
      [now](db::Transaction& tx) -> Result<Changes> {
    Changes changes;
    for (JobHead& head : TRY(find_forsaken(tx, now - kForsakenAfter, kForgottenAtOnce))) {
      changes.push_back(
          TRY(move_job(tx, head, model::JobState::lost, "GitHub never said how it ended", now)));
    }
    return changes;
  };
  const auto changes = co_await writer_.write<Changes>(std::move(work));
  if (!changes) {
    log_warn("ending forsaken jobs", {{"error", changes.error().message}});
    co_return;
  }
  for (const JobChange& change : *changes) board_.apply(change);
}

Task<void> Control::housekeep() {
  const Time now = parts_.clock.now();
  std::function<Result<int64_t>(db::Transaction&)> work =
      [now](db::Transaction& tx) -> Result<int64_t> {
    const int64_t deliveries = TRY(forget_deliveries(tx, now, kForgottenAtOnce));
    const int64_t runs = TRY(forget_runs(tx, now, kForgottenAtOnce));
    return deliveries + runs + TRY(forget_requests(tx, now, kForgottenAtOnce));
  };
  // Small steps, so that intake is never held up behind a large deletion.
  while (!*stopped_) {
    const auto forgotten = co_await parts_.database.write<int64_t>(work);
    if (!forgotten) log_warn("forgetting old deliveries", {{"error", forgotten.error().message}});
    if (!forgotten || *forgotten == 0) break;
  }
  co_await end_forsaken(now);
  const auto sessions = co_await parts_.sessions.sweep();
  if (!sessions) log_warn("sweeping sessions", {{"error", sessions.error().message}});
  const auto leases = co_await access::sweep_ended_leases(parts_.database, now);
  if (!leases) log_warn("sweeping ended leases", {{"error", leases.error().message}});
  const auto audit = co_await access::sweep_audit(parts_.database, now);
  if (!audit) log_warn("sweeping the audit log", {{"error", audit.error().message}});
}

Task<void> Control::sweep() {
  co_await leases_.sweep();
  board_.dispatch();  // token buckets have filled a little
  const Duration now = parts_.clock.steady();
  if (now - probed_at_ >= kProbeEvery) {
    probed_at_ = now;
    co_await probe_database();
    co_await count_agents();
    co_await leases_.end_unplaceable();
  }
  if (now - housekept_at_ >= kHousekeepEvery) {
    housekept_at_ = now;
    co_await housekeep();
  }
  const std::string report = health_.report().json;
  if (report != told_health_) {
    told_health_ = report;
    board_.events().publish("health", "", report);
  }
}

Task<void> Control::run_sweeper(std::shared_ptr<const bool> stopped) {
  while (!*stopped) {
    co_await parts_.loop.sleep(kSweepEvery);
    if (*stopped) co_return;
    co_await sweep();
  }
}

}  // namespace nimbus::control
