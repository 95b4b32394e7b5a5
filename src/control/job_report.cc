#include "control/job_report.h"

#include <algorithm>
#include <array>

#include "control/agent_store.h"
#include "control/job_orders.h"

namespace nimbus::control {
namespace {

using model::JobState;

constexpr std::array<std::string_view, 4> kEventTypes = {"booting", "started", "finished",
                                                         "abandoned"};
constexpr std::string_view kAgain = "queued again: ";
constexpr std::string_view kNextAgent = "; another agent is asked";

// An agent's clock may be wrong and its word is only about its own execution: what it reports has
// happened between the step before and now.
Moment moment_of(const JobHead& head, const JobEvent& event, Time now) {
  const Time earliest = head.started_at.value_or(head.leased_at.value_or(now));
  return {now, std::max(std::min(earliest, now), now - event.age)};
}

// Who asked for the cancel says more than that there was one.
std::string reason_of_end(const JobHead& head, const JobEvent& event) {
  const bool cancelled = event.result == model::JobResult::cancelled && head.cancel_requested;
  return cancelled ? reason_of_cancel(head) : event.reason;
}

Result<Recorded> note_booting(db::Transaction& tx, JobHead& head) {
  if (!head.cancel_requested) head.reason = "booting";
  TRY(save_head(tx, head));
  return Recorded{{ReportOutcome::recorded, head.state}, change_of(head, head.state)};
}

Result<JobChange> note_started(db::Transaction& tx, JobHead& head, Moment when) {
  const std::string cancel = head.cancel_requested ? head.reason : "";
  return move_job(tx, head, JobState::running, cancel, when);
}

Result<JobChange> note_abandoned(db::Transaction& tx, JobHead& head, const JobEvent& event,
                                 Moment when) {
  if (event.keeps_try && head.state == JobState::leased && head.tries > 0) --head.tries;
  return requeue_or_end(tx, head, event.reason.empty() ? "the agent gave it up" : event.reason,
                        when);
}

// Each agent is asked once, so a job that nobody can run ends after as many tries as there are
// agents, and costs none of its own.
Result<JobChange> note_lacking(db::Transaction& tx, JobHead& head, const Reported& reported,
                               Moment when) {
  const std::string& reason = reported.event.reason;
  if (TRY(others_take_work_in(tx, reported.declined, when.recorded))) {
    if (head.tries > 0) --head.tries;
    return requeue_or_end(tx, head, reason + std::string(kNextAgent), when);
  }
  if (head.cancel_requested) return requeue_or_end(tx, head, reason, when);
  const size_t asked = reported.declined.size();
  const std::string all = "; none of the " + std::to_string(asked) + " agents asked has it";
  return move_job(tx, head, JobState::failed, asked > 1 ? reason + all : reason, when);
}

Result<JobChange> note_finished(db::Transaction& tx, JobHead& head, const JobEvent& event,
                                Moment when) {
  head.exit_code = event.exit_code;
  return move_job(tx, head, model::final_state(event.result), reason_of_end(head, event), when);
}

bool is_possible(JobState from, EventType type) {
  const bool begins = type == EventType::booting || type == EventType::started;
  return begins ? from == JobState::leased : !model::is_final(from);
}

}  // namespace

std::optional<EventType> find_event_type(std::string_view name) {
  const auto found = std::find(kEventTypes.begin(), kEventTypes.end(), name);
  if (found == kEventTypes.end()) return std::nullopt;
  return static_cast<EventType>(found - kEventTypes.begin());
}

Result<Recorded> record_report(db::Transaction& tx, JobHead& head, const Reported& reported) {
  const JobEvent& event = reported.event;
  const auto only = [&head](ReportOutcome outcome) {
    return Recorded{{outcome, head.state}, std::nullopt};
  };
  const bool holds_lease = head.fence == event.fence && head.agent == reported.agent;
  const bool over = head.state == JobState::queued || head.state == JobState::lost;
  if (!holds_lease || (over && event.seq > head.event_seq)) return only(ReportOutcome::stale);
  if (event.seq <= head.event_seq) return only(ReportOutcome::repeated);
  if (!is_possible(head.state, event.type)) return only(ReportOutcome::impossible);
  head.event_seq = event.seq;
  if (event.type == EventType::booting) return note_booting(tx, head);
  const Moment when = moment_of(head, event, reported.now);
  if (event.log_last_seq) head.log_last_seq = event.log_last_seq;
  const auto note = [&]() -> Result<JobChange> {
    if (event.type == EventType::started) return note_started(tx, head, when);
    if (event.lacks_image && head.state == JobState::leased) {
      return note_lacking(tx, head, reported, when);
    }
    if (event.type == EventType::abandoned) return note_abandoned(tx, head, event, when);
    return note_finished(tx, head, event, when);
  };
  JobChange change = TRY(note());
  return Recorded{{ReportOutcome::recorded, change.to}, std::move(change)};
}

Result<std::optional<JobChange>> end_unplaceable(db::Transaction& tx, JobHead& head,
                                                 const std::set<std::string>& declined, Time now) {
  if (head.state != JobState::queued || TRY(others_take_work_in(tx, declined, now))) {
    return std::nullopt;
  }
  std::string_view reason = head.reason;
  if (reason.starts_with(kAgain)) reason.remove_prefix(kAgain.size());
  if (reason.ends_with(kNextAgent)) reason.remove_suffix(kNextAgent.size());
  return TRY(move_job(tx, head, JobState::failed,
                      std::string(reason) + "; no other agent is online", now));
}

Result<JobChange> requeue_or_end(db::Transaction& tx, JobHead& head, std::string_view why,
                                 Moment when) {
  const std::string reason(why);
  if (head.cancel_requested) {
    return move_job(tx, head, JobState::cancelled, reason_of_cancel(head) + "; " + reason, when);
  }
  if (head.is_github() && head.state == JobState::running) {
    return move_job(tx, head, JobState::lost,
                    reason + "; a GitHub job that has started cannot run again", when);
  }
  if (head.tries >= head.tries_max) {
    return move_job(tx, head, JobState::lost,
                    reason + "; no tries left (" + std::to_string(head.tries) + " of " +
                        std::to_string(head.tries_max) + ")",
                    when);
  }
  return move_job(tx, head, JobState::queued, std::string(kAgain) + reason, when);
}

}  // namespace nimbus::control
