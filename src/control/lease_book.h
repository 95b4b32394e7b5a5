// A lease is control's promise that one agent, and no other, runs one job until a deadline. Every
// grant takes the job's next fence; a report that carries an older one is refused as stale, so a
// slow agent can never overwrite the work of its successor.
//
// Threads: the loop's; each call is one database transaction.
// Not here: which job comes next (job_queue.h), what a report does (job_report.h), HTTP
// (lease_routes.h).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "access/job_token.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "control/batch_writer.h"
#include "control/board.h"
#include "control/job_report.h"
#include "control/job_store.h"
#include "control/standing.h"
#include "db/database.h"

namespace nimbus::control {

// A job that is leased, and what its token may say of it.
struct Leased {
  Job job;
  Standing standing;
};

struct Assignment {
  Job job;
  Time expires_at;
  std::string job_token;
};

struct Renewal {
  Time expires_at;
  bool cancel = false;
  std::string job_token;
};

class LeaseBook {
 public:
  struct Parts {
    db::Database& database;
    BatchWriter& writer;
    Board& board;
    const access::JobTokens& job_tokens;
    const Clock& clock;
    Metrics& metrics;
    Duration ttl;
  };
  explicit LeaseBook(Parts parts);

  // Grants what the board picked for `agent`; fewer when a job is no longer queued or its org's
  // bucket, as the database has it, is empty, none when the agent has been drained or revoked since
  // it asked. On an error every pick is queued as before.
  Task<Result<std::vector<Assignment>>> grant(std::string agent, std::vector<Pick> picks);
  // Leases granted to `agent` that it has never mentioned, other than `running`: the answer that
  // carried them was lost. The same assignments again, with the same fences.
  Task<Result<std::vector<Assignment>>> repeat(std::string agent, std::vector<int64_t> running);

  // Extends a live lease of `agent`. conflict: the fence is stale or the lease is over; the
  // execution must stop.
  Task<Result<Renewal>> renew(int64_t job, int64_t fence, std::string agent);
  // not_found: no such job.
  Task<Result<Report>> report(int64_t job, std::string agent, JobEvent event);

  // Ends the leases whose deadline has passed. When this process itself was stopped for longer than
  // a sweep should take, the agents could not renew: every lease gets a fresh ttl instead.
  Task<void> sweep();
  // Ends the queued jobs whose image no agent has that is left.
  Task<void> end_unplaceable();
  // Ends every lease of an agent whose executions are certainly gone (its host restarted).
  Task<Result<void>> end_all(std::string agent, std::string why);

  Duration ttl() const { return parts_.ttl; }
  void count_stale(int64_t job, int64_t fence, const std::string& agent);

 private:
  struct Granted;
  Assignment assignment(Leased leased, Time now, Time expires_at) const;
  Task<void> end(int64_t job, int64_t fence, std::string why);

  Parts parts_;
  Duration swept_at_;
  Counter& granted_;
  Counter& renewed_;
  Counter& expired_;
  Counter& stale_;
};

}  // namespace nimbus::control
