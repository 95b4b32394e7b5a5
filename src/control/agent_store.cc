#include "control/agent_store.h"

#include <algorithm>
#include <array>

#include "access/audit.h"
#include "base/encoding.h"
#include "base/log.h"
#include "control/job_store.h"

namespace nimbus::control {
namespace {

constexpr std::string_view kAgents = R"sql(
CREATE TABLE agents (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  slots BIGINT NOT NULL,
  slots_free BIGINT NOT NULL,
  warm BIGINT NOT NULL,
  version TEXT NOT NULL,
  vmm TEXT NOT NULL,
  accel TEXT NOT NULL,
  cgroup TEXT NOT NULL,
  boot_id TEXT NOT NULL,
  draining BIGINT NOT NULL,
  enrolled_us BIGINT NOT NULL,
  last_seen_us BIGINT,
  revoked_us BIGINT
);
CREATE INDEX agents_by_name ON agents (name, id);
)sql";

constexpr std::string_view kColumns =
    "id, name, slots, slots_free, warm, version, vmm, accel, cgroup, boot_id, draining, "
    "enrolled_us, last_seen_us, revoked_us";

Agent read_agent(const db::Row& row) {
  return {.id = {row.text(0)},
          .name = row.text(1),
          .slots = static_cast<int>(row.integer(2)),
          .slots_free = static_cast<int>(row.integer(3)),
          .warm = static_cast<int>(row.integer(4)),
          .version = row.text(5),
          .vmm = row.text(6),
          .accel = row.text(7),
          .cgroup = row.text(8),
          .boot_id = row.text(9),
          .draining = row.integer(10) != 0,
          .enrolled_at = row.time(11),
          .last_seen_at = row.find_time(12),
          .revoked_at = row.find_time(13)};
}

Result<std::optional<Agent>> find_agent(db::Transaction& tx, const model::AgentId& id) {
  const auto row =
      TRY(tx.find("SELECT " + std::string(kColumns) + " FROM agents WHERE id = $1", id.value));
  if (!row) return std::nullopt;
  return read_agent(*row);
}

Result<Agent> read_agent_in(db::Transaction& tx, const model::AgentId& id) {
  auto agent = TRY(find_agent(tx, id));
  if (!agent) return fail(Code::not_found, "no such agent");
  return std::move(*agent);
}

Result<void> write_seen(db::Transaction& tx, const Agent& agent) {
  TRY(
      tx.run("UPDATE agents SET name = $1, slots = $2, slots_free = $3, warm = $4, version = $5, "
             "vmm = $6, accel = $7, cgroup = $8, boot_id = $9, last_seen_us = $10 WHERE id = $11",
             agent.name, agent.slots, agent.slots_free, agent.warm, agent.version, agent.vmm,
             agent.accel, agent.cgroup, agent.boot_id, agent.last_seen_at, agent.id.value));
  return {};
}

void apply(Agent& agent, const AgentInfo& info) {
  if (info.name) agent.name = *info.name;
  if (info.slots) agent.slots = *info.slots;
  if (info.slots_free) agent.slots_free = *info.slots_free;
  if (info.warm) agent.warm = *info.warm;
  if (info.version) agent.version = *info.version;
  if (info.vmm) agent.vmm = *info.vmm;
  if (info.accel) agent.accel = *info.accel;
  if (info.cgroup) agent.cgroup = *info.cgroup;
  if (info.boot_id) agent.boot_id = *info.boot_id;
}

// Whether people would see a difference, last_seen_at aside.
bool looks_the_same(const Agent& a, const Agent& b) {
  return a.name == b.name && a.slots == b.slots && a.slots_free == b.slots_free &&
         a.warm == b.warm && a.version == b.version && a.vmm == b.vmm && a.accel == b.accel &&
         a.cgroup == b.cgroup && a.boot_id == b.boot_id && a.draining == b.draining;
}

// What must not be lost with the process: all but the counts, which the next poll brings again.
bool must_be_written(const Agent& before, Agent after) {
  after.slots_free = before.slots_free;
  after.warm = before.warm;
  return !looks_the_same(before, after);
}

}  // namespace

const db::MigrationSet& agent_migrations() {
  static constexpr std::array<db::Migration, 1> kMigrations = {db::Migration{1, "agents", kAgents}};
  static constexpr db::MigrationSet kSet{"agents", kMigrations};
  return kSet;
}

std::string_view to_string(AgentState state) {
  switch (state) {
    case AgentState::online: return "online";
    case AgentState::offline: return "offline";
    case AgentState::draining: return "draining";
    case AgentState::revoked: return "revoked";
  }
  return "offline";
}

Result<bool> takes_work_in(db::Transaction& tx, const model::AgentId& id) {
  const auto row = TRY(tx.find(
      "SELECT id FROM agents WHERE id = $1 AND draining = 0 AND revoked_us IS NULL", id.value));
  return row.has_value();
}

Result<bool> others_take_work_in(db::Transaction& tx, const std::set<std::string>& agents,
                                 Time now) {
  for (const db::Row& row :
       TRY(tx.query("SELECT id FROM agents WHERE draining = 0 AND revoked_us IS NULL "
                    "AND last_seen_us > $1",
                    now - kAgentOfflineAfter))) {
    if (!agents.contains(row.text(0))) return true;
  }
  return false;
}

AgentState Agent::state(Time now) const {
  if (revoked_at) return AgentState::revoked;
  if (!last_seen_at || now - *last_seen_at >= kAgentOfflineAfter) return AgentState::offline;
  return draining ? AgentState::draining : AgentState::online;
}

AgentStore::AgentStore(db::Database& database, access::TokenBook& tokens, const Clock& clock,
                       Random& random)
    : database_(database), tokens_(tokens), clock_(clock), random_(random) {}

Agent AgentStore::merged(Agent agent) const {
  const auto found = memory_.find(agent.id.value);
  if (found == memory_.end() || !found->second.seen || agent.revoked_at) return agent;
  const Agent& seen = *found->second.seen;
  if (agent.last_seen_at && *agent.last_seen_at > *seen.last_seen_at) return agent;
  const bool draining = agent.draining;
  agent = seen;
  agent.draining = draining;
  return agent;
}

void AgentStore::tell(const Agent& agent) {
  memory_[agent.id.value].told = agent.state(clock_.now());
  if (on_change_) on_change_(agent.id);
}

Task<Result<Enrolled>> AgentStore::enroll(std::string token_hash, AgentInfo info, std::string by) {
  Agent agent;
  agent.id = {"agent-" + to_hex(random_.bytes(6))};
  agent.slots = 1;
  agent.enrolled_at = clock_.now();
  apply(agent, info);
  agent.slots_free = agent.slots;
  const access::IssuedToken credential = tokens_.make({.kind = access::TokenKind::agent,
                                                       .name = agent.name,
                                                       .role = access::Role::viewer,
                                                       .orgs = {},
                                                       .repo = {},
                                                       .agent = agent.id,
                                                       .expires_at = {}});
  std::function<Result<Enrolled>(db::Transaction&)> work =
      [this, token_hash = std::move(token_hash), agent, credential,
       by = std::move(by)](db::Transaction& tx) -> Result<Enrolled> {
    TRY(tokens_.spend_in(tx, token_hash));
    TRY(
        tx.run("INSERT INTO agents (id, name, slots, slots_free, warm, version, vmm, accel, "
               "cgroup, boot_id, draining, enrolled_us) "
               "VALUES ($1, $2, $3, $4, 0, $5, $6, $7, $8, $9, 0, $10)",
               agent.id.value, agent.name, agent.slots, agent.slots_free, agent.version, agent.vmm,
               agent.accel, agent.cgroup, agent.boot_id, agent.enrolled_at));
    TRY(tokens_.store_in(tx, credential, by));
    TRY(access::audit(tx, agent.enrolled_at,
                      {by, "agent enrolled", agent.id.value, "", agent.name}));
    return Enrolled{agent, credential.text};
  };
  auto enrolled = co_await database_.write<Enrolled>(std::move(work));
  tokens_.forget();
  if (enrolled) tell(enrolled->agent);
  co_return enrolled;
}

Task<Result<Agent>> AgentStore::seen(model::AgentId id, AgentInfo info) {
  const Time now = clock_.now();
  const auto known = memory_.find(id.value);
  if (known != memory_.end() && known->second.seen &&
      now - known->second.written_at < kAgentWriteEvery) {
    Memory& memory = known->second;
    Agent agent = *memory.seen;
    apply(agent, info);
    if (!must_be_written(*memory.seen, agent)) {
      agent.last_seen_at = now;
      const bool changed = !looks_the_same(*memory.seen, agent) || memory.told != agent.state(now);
      memory.seen = agent;
      if (changed) tell(agent);
      co_return agent;
    }
  }
  using Change = std::pair<Agent, Agent>;  // before, after
  std::function<Result<Change>(db::Transaction&)> work =
      [id, info = std::move(info), now](db::Transaction& tx) -> Result<Change> {
    Agent before = TRY(read_agent_in(tx, id));
    if (before.revoked_at) return fail(Code::not_found, "no such agent");
    Agent after = before;
    apply(after, info);
    after.last_seen_at = now;
    TRY(write_seen(tx, after));
    return Change{std::move(before), std::move(after)};
  };
  const auto change = co_await database_.write<Change>(std::move(work));
  if (!change) {
    if (change.error().code == Code::not_found) memory_.erase(id.value);
    co_return fail(change.error());
  }
  const Agent& after = change->second;
  Memory& memory = memory_[id.value];
  const Agent& before = memory.seen ? *memory.seen : change->first;
  const bool changed = !looks_the_same(before, after) || memory.told != after.state(now);
  memory.seen = after;
  memory.written_at = now;
  if (changed) tell(after);
  co_return after;
}

Task<Result<std::optional<Agent>>> AgentStore::find(model::AgentId id) {
  using Found = std::optional<Agent>;
  std::function<Result<Found>(db::Transaction&)> work = [id = std::move(id)](db::Transaction& tx) {
    return find_agent(tx, id);
  };
  CO_TRY_ASSIGN(Found agent, co_await database_.read<Found>(std::move(work)));
  if (agent) agent = merged(std::move(*agent));
  co_return agent;
}

Task<Result<std::vector<Agent>>> AgentStore::list(bool with_revoked) {
  using Listed = std::vector<Agent>;
  std::function<Result<Listed>(db::Transaction&)> work =
      [with_revoked](db::Transaction& tx) -> Result<Listed> {
    Listed listed;
    const db::Rows rows = TRY(tx.query("SELECT " + std::string(kColumns) +
                                           " FROM agents WHERE revoked_us IS NULL OR $1 = 1 "
                                           "ORDER BY name, id",
                                       with_revoked));
    for (const db::Row& row : rows) listed.push_back(read_agent(row));
    return listed;
  };
  CO_TRY_ASSIGN(Listed agents, co_await database_.read<Listed>(std::move(work)));
  for (Agent& agent : agents) agent = merged(std::move(agent));
  co_return agents;
}

Task<Result<Agent>> AgentStore::set_draining(model::AgentId id, bool draining, std::string by) {
  std::function<Result<Agent>(db::Transaction&)> work =
      [id, draining, by = std::move(by), now = clock_.now()](db::Transaction& tx) -> Result<Agent> {
    Agent agent = TRY(read_agent_in(tx, id));
    if (agent.revoked_at) return fail(Code::not_found, "no such agent");
    if (agent.draining == draining) return agent;
    agent.draining = draining;
    TRY(tx.run("UPDATE agents SET draining = $1 WHERE id = $2", draining, id.value));
    const std::string what = draining ? "agent drained" : "agent resumed";
    TRY(access::audit(tx, now, {by, what, id.value, "", agent.name}));
    return agent;
  };
  CO_TRY_ASSIGN(Agent agent, co_await database_.write<Agent>(std::move(work)));
  agent = merged(std::move(agent));
  Memory& memory = memory_[id.value];
  if (memory.seen) memory.seen->draining = draining;
  if (draining && on_barred_) on_barred_(agent.id);
  tell(agent);
  co_return agent;
}

Task<Result<Agent>> AgentStore::drain(model::AgentId id, std::string by) {
  return set_draining(std::move(id), true, std::move(by));
}

Task<Result<Agent>> AgentStore::resume(model::AgentId id, std::string by) {
  return set_draining(std::move(id), false, std::move(by));
}

Task<Result<Agent>> AgentStore::revoke(model::AgentId id, std::string by) {
  std::function<Result<Agent>(db::Transaction&)> work =
      [this, id, by = std::move(by), now = clock_.now()](db::Transaction& tx) -> Result<Agent> {
    Agent agent = TRY(read_agent_in(tx, id));
    if (agent.revoked_at) return agent;
    agent.revoked_at = now;
    TRY(tx.run("UPDATE agents SET revoked_us = $1, slots_free = 0 WHERE id = $2", now, id.value));
    TRY(tokens_.revoke_agent_in(tx, id));
    TRY(end_tokens_of_agent(tx, id.value, now));
    TRY(access::audit(tx, now, {by, "agent revoked", id.value, "", agent.name}));
    return agent;
  };
  auto agent = co_await database_.write<Agent>(std::move(work));
  tokens_.forget();
  if (!agent) co_return fail(agent.error());
  if (on_barred_) on_barred_(agent->id);
  tell(*agent);
  memory_.erase(id.value);
  co_return *agent;
}

Task<Result<void>> AgentStore::sweep() {
  CO_TRY_ASSIGN(const std::vector<Agent> agents, co_await list(false));
  const Time now = clock_.now();
  for (const Agent& agent : agents) {
    Memory& memory = memory_[agent.id.value];
    const AgentState state = agent.state(now);
    // The first look after a start tells nobody: nothing has changed.
    const bool changed = memory.told && *memory.told != state;
    memory.told = state;
    if (!changed) continue;
    if (state == AgentState::offline) {
      log_warn("agent is offline", {{"agent", agent.id.value}, {"name", agent.name}});
    }
    if (on_change_) on_change_(agent.id);
  }
  co_return Result<void>();
}

}  // namespace nimbus::control
