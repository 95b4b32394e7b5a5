// Jobs in the database: made, read, moved from state to state. Every move goes through `move_job`,
// which knows the state machine's edges and records the transition.
//
// Threads: functions that take a Transaction run on a database thread; the others the loop's.
// Not here: which job runs next (job_queue.h), who may run it (lease_book.h).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "access/scope.h"
#include "base/task.h"
#include "control/job.h"
#include "db/database.h"

namespace nimbus::control {

// Stores a new job, whose beginning `start` says; its number. nullopt: GitHub's job is there
// already.
Result<std::optional<int64_t>> insert_job(db::Transaction& tx, const Job& job,
                                          const JobStart& start);

Result<std::optional<JobHead>> find_head(db::Transaction& tx, int64_t id);
Result<std::optional<JobHead>> find_github_head(db::Transaction& tx, int64_t github_job_id,
                                                int64_t run_attempt);
// Writes what may have changed, without a transition.
Result<void> save_head(db::Transaction& tx, const JobHead& head);

// When a change is written down, and when what it tells of happened: not the same where an agent
// could not report for a while.
struct Moment {
  Moment(Time now) : recorded(now), happened(now) {}
  Moment(Time now, Time then) : recorded(now), happened(then) {}
  Time recorded;
  Time happened;
};

// Moves the job and saves it. A lease ends here when the new state is not one of a lease; times of
// start and end are set. The edge must exist (can_move).
Result<JobChange> move_job(db::Transaction& tx, JobHead& head, model::JobState to,
                           std::string reason, Moment when);

// Leases a queued job that is free to go: the next fence, one try more. The job as it now is;
// nullopt: it is not queued any more.
struct Claim {
  std::string agent;
  Time now;
  Time expires_at;
};
Result<std::optional<Job>> claim_job(db::Transaction& tx, int64_t id, const Claim& claim);

// The tokens of what the agent runs open nothing more. The leases stand until they run out: nobody
// knows yet that the executions are gone.
Result<void> end_tokens_of_agent(db::Transaction& tx, const std::string& agent, Time now);

// GitHub's jobs that somebody else's runner took before `since` and of which nothing was heard
// again.
Result<std::vector<JobHead>> find_forsaken(db::Transaction& tx, Time since, int limit);

struct JobFilter {
  access::OrgScope orgs;
  std::optional<std::string> repo;
  std::vector<model::JobState> states;  // any of; empty: all
  std::vector<std::string> terms;       // all of
  std::optional<Time> since;
  std::optional<Time> until;
  int64_t before = 0;  // only ids below; 0: from the newest
  int limit = 50;
};

// Newest first.
Result<std::vector<Job>> list_jobs(db::Transaction& tx, const JobFilter& filter);
Result<std::optional<Job>> find_job(db::Transaction& tx, int64_t id);
Result<std::vector<Job>> find_jobs(db::Transaction& tx, const std::vector<int64_t>& ids);
// From its beginning, the implied first one included.
Result<std::vector<model::Transition>> read_transitions(db::Transaction& tx, const Job& job);

}  // namespace nimbus::control
