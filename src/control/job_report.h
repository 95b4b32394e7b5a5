// What an agent reports about an execution, and what each report does to its job. A report is taken
// once, in the order of its `seq`, and only with the fence of the execution that holds the lease.
//
// A job whose execution is gone is queued again while it has tries left. A job of GitHub's that had
// started is `lost`: GitHub has seen its runner and cannot run it twice.
//
// Threads: functions that take a Transaction run on a database thread; the others anywhere.
// Not here: leases and their ends in time (lease_book.h), the report's JSON (lease_routes.h).
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "control/job_store.h"

namespace nimbus::control {

enum class EventType { booting, started, finished, abandoned };
std::optional<EventType> find_event_type(std::string_view name);

// `seq` counts the reports of an execution upwards from 1.
struct JobEvent {
  int64_t fence = 0;
  int64_t seq = 0;
  EventType type = EventType::booting;
  model::JobResult result = model::JobResult::failed;  // finished
  std::optional<int64_t> exit_code;
  std::string reason;
  bool keeps_try = false;  // abandoned before anything of the job ran: the try is not spent
  // Abandoned because the agent has not got the job's image and cannot get it: another may have.
  bool lacks_image = false;
  std::optional<int64_t> log_last_seq;
  Duration age{0};  // how long ago it happened: reports wait while this server is away
};

enum class ReportOutcome { recorded, repeated, stale, impossible };

struct Report {
  ReportOutcome outcome = ReportOutcome::recorded;
  model::JobState state = model::JobState::queued;
};

struct Reported {
  std::string_view agent;  // who reports
  const JobEvent& event;
  Time now;
  std::set<std::string> declined = {};  // agents that lack the job's image, this one among them
};
struct Recorded {
  Report report;
  std::optional<JobChange> change;
};
// Nothing changes unless the outcome is `recorded`.
Result<Recorded> record_report(db::Transaction& tx, JobHead& head, const Reported& reported);

// Ends a queued job whose image no agent has that is left. nullopt: one may have it.
Result<std::optional<JobChange>> end_unplaceable(db::Transaction& tx, JobHead& head,
                                                 const std::set<std::string>& declined, Time now);

// Puts a job whose execution is gone back into the queue, or ends it; see above.
Result<JobChange> requeue_or_end(db::Transaction& tx, JobHead& head, std::string_view why,
                                 Moment when);

}  // namespace nimbus::control
