// What operators order: a native job, a cancellation, a rerun. Each is one transaction.
//
// Threads: database threads, inside a transaction.
#pragma once

#include <optional>
#include <string>

#include "control/job_store.h"
#include "control/org_store.h"

namespace nimbus::control {

constexpr Duration kIdempotencyKept = std::chrono::hours(24);
constexpr size_t kIdempotencyKeyBytesMax = 255;

struct IdempotencyKey {
  std::string key;
  std::string request_hash;
};

struct Ordered {
  int64_t job = 0;
  model::JobState state = model::JobState::queued;
  std::optional<JobChange> change;  // nullopt: an earlier request made it
};

// Queues `job` in its org. With a key: the same key and request within 24 hours gives the same job;
// conflict: the key was used for another request.
Result<Ordered> create_job(db::Transaction& tx, const OrgStore& orgs, Job job,
                           const std::optional<IdempotencyKey>& key);

// Ends a job that nobody runs, tells the agent of one that somebody runs; nothing more for one that
// is already cancelled or being cancelled. conflict: it has ended otherwise.
Result<std::optional<JobChange>> cancel_job(db::Transaction& tx, JobHead head, std::string_view by,
                                            Time now);
// What a job that is being cancelled ends with: by whom, when an operator asked.
std::string reason_of_cancel(const JobHead& head);

// The same work as a new native job. conflict: the job has not ended.
Result<Ordered> rerun_job(db::Transaction& tx, const Job& job, Time now);

// Deletes up to `limit` keys that are older than kIdempotencyKept; how many.
Result<int64_t> forget_requests(db::Transaction& tx, Time now, int limit);

}  // namespace nimbus::control
