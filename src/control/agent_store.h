// The agents: who they are, what they have, whether they are there. An agent is made by spending an
// enrolment token, draining by an operator's word, revoked for good; it is offline when it has not
// polled for 90 seconds. It may poll any replica: what a poll tells is kept in memory and written
// when it changes, or every ten seconds.
//
// Threads: the loop's; functions that take a Transaction run on a database thread.
// Not here: leases and assignments (lease.h), HTTP (agent_routes.h), credentials
// (access/token_book.h).
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "access/token_book.h"
#include "base/clock.h"
#include "base/random.h"
#include "db/database.h"
#include "db/migrate.h"
#include "model/ids.h"

namespace nimbus::control {

constexpr Duration kAgentOfflineAfter = std::chrono::seconds(90);
constexpr Duration kAgentWriteEvery = std::chrono::seconds(10);
constexpr int kAgentSlotsMax = 1024;

// Set "agents"; needs nothing else in the database.
const db::MigrationSet& agent_migrations();

enum class AgentState { online, offline, draining, revoked };
std::string_view to_string(AgentState state);

struct Agent {
  model::AgentId id;
  std::string name;
  int slots = 0;
  int slots_free = 0;
  int warm = 0;
  std::string version;
  std::string vmm;
  std::string accel;
  std::string cgroup;
  std::string boot_id;
  bool draining = false;
  Time enrolled_at;
  std::optional<Time> last_seen_at;
  std::optional<Time> revoked_at;

  // revoked, else offline, else draining, else online.
  AgentState state(Time now) const;
};

// What a poll or an enrolment tells; what it leaves out stays as it was.
struct AgentInfo {
  std::optional<std::string> name;
  std::optional<int> slots;
  std::optional<int> slots_free;
  std::optional<int> warm;
  std::optional<std::string> version;
  std::optional<std::string> vmm;
  std::optional<std::string> accel;
  std::optional<std::string> cgroup;
  std::optional<std::string> boot_id;
};

struct Enrolled {
  Agent agent;
  Secret credential;
};

// Whether the agent may be given new work: there is one, not draining and not revoked.
Result<bool> takes_work_in(db::Transaction& tx, const model::AgentId& id);
// Whether there is an online agent that takes work, other than these.
Result<bool> others_take_work_in(db::Transaction& tx, const std::set<std::string>& agents,
                                 Time now);

class AgentStore {
 public:
  using OnChange = std::function<void(model::AgentId)>;

  AgentStore(db::Database& database, access::TokenBook& tokens, const Clock& clock, Random& random);

  // Called on the loop after an agent changed in a way people see: enrolled, state, slots, warm,
  // version. Not for every poll.
  void on_change(OnChange call) { on_change_ = std::move(call); }

  // Called on the loop when an agent is to get no new work any more: drained or revoked.
  void on_barred(OnChange call) { on_barred_ = std::move(call); }

  // Spends the enrolment token with this hash (Caller::credential) and makes the agent.
  // unauthenticated: the token was spent meanwhile.
  Task<Result<Enrolled>> enroll(std::string token_hash, AgentInfo info, std::string by);
  // Notes that the agent is here. The agent as it now is (see `draining`: give it no new work);
  // not_found: no such agent, or revoked.
  Task<Result<Agent>> seen(model::AgentId id, AgentInfo info);
  Task<Result<std::optional<Agent>>> find(model::AgentId id);
  // By name and id; revoked ones too when asked.
  Task<Result<std::vector<Agent>>> list(bool with_revoked);
  // Gives it no new work, or work again. Idempotent; not_found: no such agent, or revoked.
  Task<Result<Agent>> drain(model::AgentId id, std::string by);
  Task<Result<Agent>> resume(model::AgentId id, std::string by);
  // Idempotent. Its credential ends at once, its leases when they run out.
  Task<Result<Agent>> revoke(model::AgentId id, std::string by);

  // Tells on_change about agents that went offline; call it every few seconds.
  Task<Result<void>> sweep();

 private:
  // What this process knows beyond the database: the latest poll, and what on_change was told.
  struct Memory {
    std::optional<Agent> seen;
    Time written_at;
    std::optional<AgentState> told;
  };

  // `agent`, a row of the database, with what a later poll told.
  Agent merged(Agent agent) const;
  void tell(const Agent& agent);
  Task<Result<Agent>> set_draining(model::AgentId id, bool draining, std::string by);

  db::Database& database_;
  access::TokenBook& tokens_;
  const Clock& clock_;
  Random& random_;
  std::unordered_map<std::string, Memory> memory_;
  OnChange on_change_;
  OnChange on_barred_;
};

}  // namespace nimbus::control
