// What a verified delivery does. Its GUID is stored under a unique key in the same transaction as
// its effect, so a replay never acts twice and a crash loses nothing that was answered.
//
// A job of GitHub's is known by (job id, run attempt); its deliveries may come in any order and any
// number, and give one job. GitHub's progress only moves forward: waiting, queued, in_progress,
// completed. Nimbus's own state follows it only where no execution of ours says better:
//
//   queued                 the job is made, or released from `waiting`
//   in_progress            a job we have not leased was taken by somebody else's runner: running
//   completed              a job we have not leased ends with GitHub's conclusion; one that we run
//   is
//                          told to stop when the conclusion is cancelled or skipped, and otherwise
//                          ends by its agent's report
//
// Threads: pure, or on a database thread inside a transaction.
// Not here: signatures and headers (webhook.h).
#pragma once

#include <optional>
#include <string>

#include "control/job_store.h"
#include "control/labels.h"
#include "control/org_store.h"
#include "control/workflow_job.h"
#include "control/workflow_run.h"

namespace nimbus::control {

// GUIDs are kept this long, the longest a workflow run lives; a body whose newest time is older is
// refused, so what the table has forgotten cannot be replayed.
constexpr Duration kReplayWindow = std::chrono::hours(24 * 35);
// Kept a little longer than the window, for clocks that differ.
constexpr Duration kDeliveriesKept = kReplayWindow + std::chrono::hours(24);

// A job on a self-hosted runner lives at most five days; one that another's runner took and whose
// completion was never delivered is given up a day later.
constexpr Duration kForsakenAfter = std::chrono::hours(24 * 6);

enum class DeliveryResult { queued, held, updated, ignored, duplicate };
std::string_view to_string(DeliveryResult result);

// Tells one body from another: a webhook secret's id, ":", and the start of the body's digest under
// that secret, which verification has computed anyway.
using BodyMark = std::string;
constexpr size_t kMarkKeyBytes = 9;  // with the ":"

// Whether a body with these marks, one for each valid secret, is the one that was stored as
// `stored`. Also true when its secret is no longer valid, and nobody can tell.
bool is_same_body(std::string_view stored, const std::vector<BodyMark>& marks);

struct Delivery {
  std::string guid;
  std::vector<BodyMark> marks;  // the first is stored
  std::string event;
  std::string action;
  std::string owner;
  std::string repo;
  Time received_at;
  std::optional<WorkflowRun> workflow_run;
  std::optional<WorkflowJob> workflow_job;
  std::optional<Job> job;  // what a queued delivery makes; nullopt: its labels are not for us
};

struct DeliveryOutcome {
  DeliveryResult result = DeliveryResult::ignored;
  std::optional<int64_t> job;
  std::optional<JobChange> change;
  std::string org;          // as Nimbus knows it; "" when nothing was done
  bool other_body = false;  // duplicate: the id came before with another body
};

// The job that `event` asks for.
Job make_github_job(const WorkflowJob& event, const LabelMatch& match, int64_t tries_max, Time now);

// Stores the delivery and does what it says; one whose GUID is known does nothing (duplicate).
// `known_org`: the owner's org when the caller remembers it.
Result<DeliveryOutcome> accept_delivery(db::Transaction& tx, const OrgStore& orgs,
                                        const Delivery& delivery,
                                        const std::optional<std::string>& known_org);

// Deletes up to `limit` deliveries that are older than kDeliveriesKept; how many.
Result<int64_t> forget_deliveries(db::Transaction& tx, Time now, int limit);

}  // namespace nimbus::control
