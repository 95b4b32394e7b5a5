#include "control/standing.h"

#include <algorithm>
#include <array>

#include "control/delivery.h"
#include "control/job_store.h"

namespace nimbus::control {
namespace {

using access::Trust;

// Events that only somebody who may push to the repository can cause, and that run that branch.
// Everything else that strangers cause runs with the default branch's name on it (issue_comment,
// pull_request_target, workflow_run after a fork's run, …), often on their input.
constexpr std::array<std::string_view, 6> kBranchEvents = {
    "push", "schedule", "workflow_dispatch", "repository_dispatch", "merge_group", "release"};
constexpr int kRerunsMax = 1'000;

bool is_branch_event(std::string_view event) {
  return std::find(kBranchEvents.begin(), kBranchEvents.end(), event) != kBranchEvents.end();
}

std::string branch_ref(const std::string& branch) {
  return branch.empty() ? "" : "refs/heads/" + branch;
}

std::string run_ref(int64_t run_id) { return "refs/nimbus/run/" + std::to_string(run_id); }

// The job at the start of a chain of reruns.
Result<Job> find_original(db::Transaction& tx, const Job& job) {
  Job original = job;
  for (int i = 0; original.rerun_of && i < kRerunsMax; ++i) {
    auto before = TRY(find_job(tx, *original.rerun_of));
    if (!before) return fail(Code::not_found, "the job that was run again is gone");
    original = std::move(*before);
  }
  return original;
}

}  // namespace

Standing judge_run(const WorkflowRun& run) {
  Standing standing;
  standing.event = run.event;
  standing.run_id = run.run_id;
  standing.cache_ref = run_ref(run.run_id);
  if (!run.head_repository_id || *run.head_repository_id != run.repository_id) {
    standing.trust = run.head_repository_id ? Trust::fork : Trust::unproven;
    if (run.head_repository_id && run.event == "pull_request" && !run.head_branch.empty()) {
      // GitHub does not tell a fork's pull request by number. Its source identifies it as well.
      standing.cache_ref =
          "refs/nimbus/fork/" + std::to_string(*run.head_repository_id) + "/" + run.head_branch;
    }
    return standing;
  }
  if (run.event == "pull_request") {
    standing.trust = Trust::pull_request;
    standing.base_ref = branch_ref(run.base_branch);
    if (run.pull_request) {
      standing.cache_ref = "refs/pull/" + std::to_string(*run.pull_request) + "/merge";
    }
    return standing;
  }
  if (is_branch_event(run.event) && !run.head_branch.empty()) {
    standing.trust = Trust::branch;
    standing.cache_ref = branch_ref(run.head_branch);
  }
  return standing;
}

Result<void> remember_run(db::Transaction& tx, const WorkflowRun& run, Time now) {
  const Standing standing = judge_run(run);
  TRY(
      tx.run("INSERT INTO github_runs (owner_id, repo, run_id, event, trust, cache_ref, base_ref, "
             "seen_us) VALUES ($1, lower($2), $3, $4, $5, $6, $7, $8) "
             "ON CONFLICT (owner_id, repo, run_id) DO UPDATE SET event = excluded.event, "
             "trust = excluded.trust, cache_ref = excluded.cache_ref, "
             "base_ref = excluded.base_ref, seen_us = excluded.seen_us",
             run.owner_id, run.repo, run.run_id, run.event, access::to_string(standing.trust),
             standing.cache_ref, standing.base_ref, now));
  return {};
}

Result<int64_t> forget_runs(db::Transaction& tx, Time now, int limit) {
  return tx.run(
      "DELETE FROM github_runs WHERE (owner_id, repo, run_id) IN (SELECT owner_id, repo, run_id "
      "FROM github_runs WHERE seen_us < $1 ORDER BY seen_us LIMIT $2)",
      now - kDeliveriesKept, limit);
}

Result<Standing> find_standing(db::Transaction& tx, const Job& job) {
  const Job original = job.rerun_of ? TRY(find_original(tx, job)) : job;
  Standing standing;
  if (!original.github) {
    standing.trust = Trust::native;
    standing.cache_ref = original.ref.value_or("");
    return standing;
  }
  standing.run_id = original.github->run_id;
  standing.cache_ref = run_ref(standing.run_id);
  standing.default_ref = branch_ref(original.github->default_branch);
  const auto row = TRY(
      tx.find("SELECT event, trust, cache_ref, base_ref FROM github_runs r JOIN github_owners o "
              "ON o.owner_id = r.owner_id WHERE lower(o.org) = lower($1) AND r.repo = lower($2) "
              "AND r.run_id = $3",
              original.org, original.repo, standing.run_id));
  if (!row) return standing;
  standing.event = row->text(0);
  standing.trust = access::find_trust(row->text(1)).value_or(Trust::unproven);
  standing.cache_ref = row->text(2);
  standing.base_ref = row->text(3);
  return standing;
}

}  // namespace nimbus::control
