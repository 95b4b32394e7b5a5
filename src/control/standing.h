// How far a job can be trusted with what others will read, caches above all, and how that is known.
//
// GitHub's `workflow_job` names a branch and does not say of which repository: a fork's pull
// request whose branch is called `main` looks like a push to `main`. So a job of GitHub's writes to
// a branch's cache only when the `workflow_run` event of its run has said that the run was started
// by somebody who can push to that branch. Until then, and for ever when GitHub is not set up to
// send that event, what it writes is seen by its own run alone. Reading the default branch's is
// allowed to all: that is how GitHub does it, and nothing of it can be changed.
//
// Threads: functions that take a Transaction run on a database thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "access/job_token.h"
#include "base/time.h"
#include "control/job.h"
#include "control/workflow_run.h"
#include "db/database.h"

namespace nimbus::control {

// What was known about the job when its token was made.
struct Standing {
  access::Trust trust = access::Trust::unproven;
  std::string event;        // of GitHub's run; "" when unknown or native
  std::string cache_ref;    // where its cache entries go; "" for a native job without a ref
  std::string base_ref;     // may also be read; may be empty
  std::string default_ref;  // may also be read; may be empty
  int64_t run_id = 0;       // GitHub's; 0: a native job
};

// What a run's event says, before anything is known of the job.
Standing judge_run(const WorkflowRun& run);

// Keeps what `run` says. Later deliveries about the same run say the same.
Result<void> remember_run(db::Transaction& tx, const WorkflowRun& run, Time now);
// Deletes runs that were last heard of before `now` - kDeliveriesKept; how many.
Result<int64_t> forget_runs(db::Transaction& tx, Time now, int limit);

// A job made again by an operator stands where the job stood that it repeats.
Result<Standing> find_standing(db::Transaction& tx, const Job& job);

}  // namespace nimbus::control
