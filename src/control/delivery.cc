#include "control/delivery.h"

#include <algorithm>
#include <array>

#include "api/json_text.h"
#include "base/log.h"
#include "base/text.h"
#include "control/standing.h"

namespace nimbus::control {
namespace {

using model::JobState;

constexpr std::array<std::string_view, 5> kResults = {"queued", "held", "updated", "ignored",
                                                      "duplicate"};
constexpr std::string_view kWaitReason = "held: waiting for approval on GitHub";
constexpr size_t kRefBytesMax = 255;

std::optional<std::string> ref_of(const std::string& branch) {
  const bool plain = std::none_of(branch.begin(), branch.end(),
                                  [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  if (branch.empty() || branch.size() > kRefBytesMax || !plain) return std::nullopt;
  return "refs/heads/" + branch;
}

std::optional<std::string> sha_of(const std::string& sha) {
  const bool hex = std::all_of(sha.begin(), sha.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
  if ((sha.size() != 40 && sha.size() != 64) || !hex) return std::nullopt;
  return sha;
}

std::string map_json(const std::map<std::string, std::string>& map) {
  if (map.empty()) return "{}";
  api::JsonText json;
  for (const auto& [key, value] : map) json.text(key, value);
  return json.finish();
}

JobState state_of_conclusion(std::string_view conclusion) {
  if (conclusion == "success" || conclusion == "neutral") return JobState::succeeded;
  if (conclusion == "cancelled" || conclusion == "skipped" || conclusion == "stale") {
    return JobState::cancelled;
  }
  if (conclusion == "timed_out") return JobState::timed_out;
  return JobState::failed;  // failure, action_required, startup_failure, and what may come
}

std::string conclusion_reason(const std::string& conclusion, const std::string& runner) {
  std::string reason = "GitHub concluded: " + conclusion;
  if (!runner.empty()) reason += " (runner " + runner + ")";
  return reason;
}

// The org of the owner. The owner's id decides, so a renamed owner keeps its org; and a new owner
// of a name that belongs to another id gets an org of its own and sees nothing of the old one's.
Result<std::string> org_of(db::Transaction& tx, const OrgStore& orgs, const WorkflowJob& event,
                           Time now) {
  std::string name = event.owner;
  if (event.owner_id) {
    const auto known =
        TRY(tx.find("SELECT org FROM github_owners WHERE owner_id = $1", *event.owner_id));
    if (known) return known->text(0);
    const auto holder =
        TRY(tx.find("SELECT owner_id FROM github_owners WHERE lower(org) = $1", to_lower(name)));
    if (holder) {
      name += "-" + std::to_string(*event.owner_id);
      log_warn("an owner's name is another's org", {{"login", event.owner}, {"org", name}});
    }
  }
  name = TRY(orgs.see_in(tx, name, now));
  if (event.owner_id) {
    TRY(tx.run("INSERT INTO github_owners (owner_id, org, login) VALUES ($1, $2, $3)",
               *event.owner_id, name, event.owner));
  }
  return name;
}

Result<DeliveryOutcome> insert_new(db::Transaction& tx, const Delivery& delivery,
                                   const std::string& org) {
  const WorkflowJob& event = *delivery.workflow_job;
  const Job& job = *delivery.job;
  JobStart start{.org = org};
  std::string reason;
  DeliveryOutcome outcome{DeliveryResult::updated, {}, {}, org};
  switch (event.rank) {
    case GithubRank::waiting:
      start.held = true;
      reason = kWaitReason;
      outcome.result = DeliveryResult::held;
      break;
    case GithubRank::queued: outcome.result = DeliveryResult::queued; break;
    case GithubRank::in_progress:
      start.state = JobState::running;
      start.started_at = delivery.received_at;
      reason = "taken by runner " + event.runner_name;
      break;
    case GithubRank::completed:
      start.state = state_of_conclusion(event.conclusion);
      start.finished_at = delivery.received_at;
      reason = conclusion_reason(event.conclusion, event.runner_name);
      break;
  }
  start.reason = reason;
  outcome.job = TRY(insert_job(tx, job, start));
  if (!outcome.job) return outcome;
  outcome.change = JobChange{*outcome.job, org, std::nullopt,  start.state,   start.held,
                             false,        0,   job.resources, job.created_at};
  return outcome;
}

// GitHub gave the job to a runner that is not ours: both edges of the state machine at once.
Result<JobChange> take_away(db::Transaction& tx, JobHead& head, Time now) {
  const std::string reason = "taken by runner " + head.github_runner_name;
  head.held = false;
  const JobState from = head.state;
  TRY(move_job(tx, head, JobState::leased, reason, now));
  TRY(move_job(tx, head, JobState::running, reason, now));
  return change_of(head, from);
}

Result<JobChange> conclude(db::Transaction& tx, JobHead& head, Time now) {
  const std::string reason = conclusion_reason(head.github_conclusion, head.github_runner_name);
  const JobState to = state_of_conclusion(head.github_conclusion);
  if (!head.is_leased()) {
    head.held = false;
    return move_job(tx, head, to, reason, now);
  }
  if (!head.cancel_requested) head.reason = reason;  // who was first is why it ends
  if (to == JobState::cancelled) head.cancel_requested = true;
  TRY(save_head(tx, head));
  return change_of(head, head.state);
}

// A delivery about a job that is there. The caller has seen that it says something new.
Result<JobChange> advance(db::Transaction& tx, JobHead& head, const WorkflowJob& event, Time now) {
  const JobState from = head.state;
  head.github_rank = static_cast<int64_t>(event.rank);
  if (event.rank >= GithubRank::in_progress) head.github_runner_name = event.runner_name;
  if (event.rank == GithubRank::completed) head.github_conclusion = event.conclusion;
  const bool ours_to_move = !model::is_final(from);
  if (event.rank == GithubRank::completed && ours_to_move) return conclude(tx, head, now);
  if (event.rank == GithubRank::in_progress && from == JobState::queued) {
    return take_away(tx, head, now);
  }
  if (event.rank == GithubRank::queued && head.held) {
    head.held = false;
    head.reason.clear();
  }
  TRY(save_head(tx, head));
  return change_of(head, from);
}

Result<DeliveryOutcome> update_known(db::Transaction& tx, const Delivery& delivery, JobHead head) {
  const WorkflowJob& event = *delivery.workflow_job;
  DeliveryOutcome outcome{DeliveryResult::updated, head.id, {}, head.org};
  if (static_cast<int64_t>(event.rank) <= head.github_rank) return outcome;  // old news
  const bool released = head.held && event.rank == GithubRank::queued;
  outcome.change = TRY(advance(tx, head, event, delivery.received_at));
  if (released) outcome.result = DeliveryResult::queued;
  return outcome;
}

Result<DeliveryOutcome> act(db::Transaction& tx, const OrgStore& orgs, const Delivery& delivery,
                            const std::optional<std::string>& known_org) {
  if (delivery.workflow_run) {
    TRY(remember_run(tx, *delivery.workflow_run, delivery.received_at));
    return DeliveryOutcome{};
  }
  if (!delivery.workflow_job) return DeliveryOutcome{};
  const WorkflowJob& event = *delivery.workflow_job;
  std::optional<std::string> org = known_org;
  if (delivery.job && !org) org = TRY(org_of(tx, orgs, event, delivery.received_at));
  // A queued delivery is nearly always the first of its job: it is tried without a look.
  const bool is_early = event.rank <= GithubRank::queued;
  if (delivery.job && is_early) {
    DeliveryOutcome outcome = TRY(insert_new(tx, delivery, *org));
    if (outcome.job) return outcome;
  }
  // Labels that no longer match do not hide a job that was made when they did.
  if (delivery.job || !is_early) {
    if (auto head = TRY(find_github_head(tx, event.job_id, event.run_attempt))) {
      return update_known(tx, delivery, std::move(*head));
    }
  }
  if (!delivery.job) return DeliveryOutcome{};
  return insert_new(tx, delivery, *org);
}

std::optional<std::string_view> text_or_null(const std::string& text) {
  if (text.empty()) return std::nullopt;
  return text;
}

}  // namespace

bool is_same_body(std::string_view stored, const std::vector<BodyMark>& marks) {
  for (const BodyMark& mark : marks) {
    if (mark.substr(0, kMarkKeyBytes) == stored.substr(0, kMarkKeyBytes)) return mark == stored;
  }
  return true;
}

std::string_view to_string(DeliveryResult result) { return kResults[static_cast<size_t>(result)]; }

Job make_github_job(const WorkflowJob& event, const LabelMatch& match, int64_t tries_max,
                    Time now) {
  Job job;
  job.repo = event.repo;
  job.ref = ref_of(event.head_branch);
  job.sha = sha_of(event.head_sha);
  job.profile = match.profile->name;
  job.image = match.profile->image;
  job.text.command = api::json_texts(match.profile->entry);
  job.text.env = map_json(match.env);
  job.text.labels = api::json_texts(event.labels);
  job.text.metadata = map_json(match.metadata);
  job.resources = match.resources;
  job.timeout_s = match.profile->timeout_s;
  job.tries_max = tries_max;
  job.created_at = now;
  const bool taken = event.rank >= GithubRank::in_progress;
  job.github = GithubFacts{event.job_id,
                           event.run_id,
                           event.run_attempt,
                           event.installation_id,
                           event.workflow_name,
                           event.name,
                           event.html_url,
                           event.default_branch,
                           taken ? event.runner_name : "",
                           event.conclusion,
                           static_cast<int64_t>(event.rank)};
  for (const std::string& label : event.labels) job.terms.push_back(label_term(label));
  for (const auto& [key, value] : match.metadata) job.terms.push_back(metadata_term(key, value));
  std::sort(job.terms.begin(), job.terms.end());
  job.terms.erase(std::unique(job.terms.begin(), job.terms.end()), job.terms.end());
  return job;
}

Result<DeliveryOutcome> accept_delivery(db::Transaction& tx, const OrgStore& orgs,
                                        const Delivery& delivery,
                                        const std::optional<std::string>& known_org) {
  const auto known =
      TRY(tx.find("SELECT body_mark, job_id FROM deliveries WHERE guid = $1", delivery.guid));
  if (known) {
    return DeliveryOutcome{DeliveryResult::duplicate,
                           known->find_integer(1),
                           {},
                           {},
                           !is_same_body(known->text(0), delivery.marks)};
  }
  DeliveryOutcome outcome = TRY(act(tx, orgs, delivery, known_org));
  TRY(tx.run(
      "INSERT INTO deliveries (guid, body_mark, event, action, org, repo, result, job_id, "
      "received_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
      delivery.guid, delivery.marks.front(), delivery.event, text_or_null(delivery.action),
      text_or_null(outcome.org.empty() ? delivery.owner : outcome.org), text_or_null(delivery.repo),
      to_string(outcome.result), outcome.job, delivery.received_at));
  return outcome;
}

Result<int64_t> forget_deliveries(db::Transaction& tx, Time now, int limit) {
  return tx.run(
      "DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries ORDER BY id "
      "LIMIT $1) AND received_us < $2",
      limit, now - kDeliveriesKept);
}

}  // namespace nimbus::control
