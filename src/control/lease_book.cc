#include "control/lease_book.h"

#include <algorithm>
#include <set>

#include "access/audit.h"
#include "base/check.h"
#include "base/log.h"
#include "control/agent_store.h"

namespace nimbus::control {
namespace {

using model::JobState;

constexpr Duration kSweepGapMax = std::chrono::seconds(10);

// Takes from the org's bucket, as far as it reaches, and stores it; how many tokens were there.
struct BucketOutcome {
  access::Bucket bucket;
  int granted = 0;
};
Result<BucketOutcome> take_tokens(db::Transaction& tx, const std::string& org,
                                  const access::BucketRate& rate, int wanted, Time now) {
  const auto row = TRY(tx.find("SELECT tokens, updated_us FROM job_buckets WHERE org = $1", org));
  BucketOutcome outcome;
  outcome.bucket =
      row ? access::Bucket{row->real(0), row->time(1)} : access::full_bucket(rate, now);
  while (outcome.granted < wanted) {
    const auto taken = access::take(outcome.bucket, rate, now);
    outcome.bucket = taken.bucket;
    if (!taken.granted) break;
    ++outcome.granted;
  }
  TRY(
      tx.run("INSERT INTO job_buckets (org, tokens, updated_us) VALUES ($1, $2, $3) "
             "ON CONFLICT (org) DO UPDATE SET tokens = excluded.tokens, "
             "updated_us = excluded.updated_us",
             org, outcome.bucket.tokens, outcome.bucket.updated_at));
  return outcome;
}

struct OrgPicks {
  std::string org;
  access::BucketRate rate;  // capacity 0: no limit
  std::vector<Pick> picks;
};

std::vector<OrgPicks> by_org(const JobQueue& queue, std::vector<Pick> picks) {
  std::vector<OrgPicks> orgs;
  for (Pick& pick : picks) {
    auto found = std::find_if(orgs.begin(), orgs.end(),
                              [&](const OrgPicks& one) { return one.org == pick.org; });
    if (found == orgs.end()) {
      const DispatchLimits limits = queue.limits(pick.org);
      const bool limited = limits.jobs_per_minute > 0;
      orgs.push_back({pick.org, limited ? JobQueue::rate(limits) : access::BucketRate{0, 0}, {}});
      found = orgs.end() - 1;
    }
    found->picks.push_back(std::move(pick));
  }
  return orgs;
}

}  // namespace

LeaseBook::LeaseBook(Parts parts)
    : parts_(parts),
      swept_at_(parts.clock.steady()),
      granted_(parts.metrics.counter("nimbus_leases_granted_total", "Leases granted to agents.")),
      renewed_(parts.metrics.counter("nimbus_lease_renewals_total", "Leases renewed.")),
      expired_(parts.metrics.counter("nimbus_lease_expiries_total", "Leases that ran out.")),
      stale_(parts.metrics.counter("nimbus_stale_fences_total",
                                   "Renewals and reports refused because their lease was over.")) {}

Assignment LeaseBook::assignment(Leased leased, Time now, Time expires_at) const {
  const Standing& standing = leased.standing;
  access::JobClaimsInput input;
  input.org = leased.job.org;
  input.repo = leased.job.repo;
  input.ref = leased.job.ref.value_or("");
  input.cache_ref = standing.cache_ref;
  input.base_ref = standing.base_ref;
  input.default_ref = standing.default_ref;
  input.job = {leased.job.id};
  input.fence = {leased.job.fence};
  input.run_id = standing.run_id;
  input.event = standing.event;
  input.trust = standing.trust;
  input.now = now;
  input.expires_at = expires_at;
  std::string token = parts_.job_tokens.sign(access::make_job_claims(input));
  return {std::move(leased.job), expires_at, std::move(token)};
}

// What a grant's transaction found out.
struct LeaseBook::Granted {
  std::vector<std::pair<Pick, Leased>> jobs;
  std::vector<Pick> gone;  // no longer queued
  std::vector<Pick> held;  // no token was left, or the agent takes no work any more
  std::vector<std::pair<std::string, access::Bucket>> buckets;
};

Task<Result<std::vector<Assignment>>> LeaseBook::grant(std::string agent, std::vector<Pick> picks) {
  const Time now = parts_.clock.now();
  const Claim claim{agent, now, now + parts_.ttl};
  const Duration deadline = parts_.clock.steady() + parts_.ttl;
  const auto orgs = by_org(parts_.board.queue(), picks);
  std::function<Result<Granted>(db::Transaction&)> work =
      [orgs, claim](db::Transaction& tx) -> Result<Granted> {
    Granted granted;
    const bool takes_work = TRY(takes_work_in(tx, {claim.agent}));
    for (const OrgPicks& org : orgs) {
      if (!takes_work) {
        granted.held.insert(granted.held.end(), org.picks.begin(), org.picks.end());
        continue;
      }
      auto allowed = static_cast<int>(org.picks.size());
      if (org.rate.capacity > 0) {
        const auto taken = TRY(take_tokens(tx, org.org, org.rate, allowed, claim.now));
        granted.buckets.emplace_back(org.org, taken.bucket);
        allowed = taken.granted;
      }
      for (const Pick& pick : org.picks) {
        if (allowed-- <= 0) {
          granted.held.push_back(pick);
          continue;
        }
        auto job = TRY(claim_job(tx, pick.ticket.job, claim));
        if (!job) {
          granted.gone.push_back(pick);
          continue;
        }
        Standing standing = TRY(find_standing(tx, *job));
        granted.jobs.emplace_back(pick, Leased{std::move(*job), std::move(standing)});
      }
    }
    return granted;
  };
  Result<Granted> outcome = co_await parts_.writer.write<Granted>(std::move(work));
  Board& board = parts_.board;
  if (!outcome) {
    for (const Pick& pick : picks) board.queue().give_back(pick);
    co_return fail(std::move(outcome).error().in("leasing jobs"));
  }
  for (const Pick& pick : outcome->gone) board.queue().drop(pick);
  for (const Pick& pick : outcome->held) board.queue().give_back(pick);
  for (const auto& [org, bucket] : outcome->buckets) board.queue().set_bucket(org, bucket);
  std::vector<Assignment> assignments;
  for (auto& [pick, leased] : outcome->jobs) {
    const Job& job = leased.job;
    const JobChange change{job.id, job.org,   JobState::queued, JobState::leased,     false,
                           false,  job.fence, job.resources,    pick.ticket.queued_at};
    board.granted(change, {job.id, job.fence, agent, job.org, deadline, false, false});
    assignments.push_back(assignment(std::move(leased), now, claim.expires_at));
    granted_.add();
  }
  co_return assignments;
}

Task<Result<std::vector<Assignment>>> LeaseBook::repeat(std::string agent,
                                                        std::vector<int64_t> running) {
  std::vector<int64_t> lost;
  for (const int64_t job : parts_.board.leases().of_agent(agent)) {
    LiveLease& lease = *parts_.board.leases().find(job);
    if (std::find(running.begin(), running.end(), job) != running.end()) lease.acknowledged = true;
    if (!lease.acknowledged) lost.push_back(job);
  }
  std::vector<Assignment> assignments;
  if (lost.empty()) co_return assignments;
  const Time now = parts_.clock.now();
  const Time expires_at = now + parts_.ttl;
  std::function<Result<std::vector<Leased>>(db::Transaction&)> work =
      [lost, expires_at](db::Transaction& tx) -> Result<std::vector<Leased>> {
    for (const int64_t job : lost) {
      TRY(tx.run("UPDATE jobs SET lease_expires_us = $1 WHERE id = $2 AND state = 'leased'",
                 expires_at, job));
    }
    std::vector<Leased> leased;
    for (Job& job : TRY(find_jobs(tx, lost))) {
      Standing standing = TRY(find_standing(tx, job));
      leased.push_back({std::move(job), std::move(standing)});
    }
    return leased;
  };
  CO_TRY_ASSIGN(std::vector<Leased> found,
                co_await parts_.writer.write<std::vector<Leased>>(std::move(work)));
  for (Leased& leased : found) {
    const Job& job = leased.job;
    LiveLease* lease = parts_.board.leases().find(job.id);
    if (lease == nullptr || lease->fence != job.fence || job.state != JobState::leased) continue;
    lease->deadline = parts_.clock.steady() + parts_.ttl;
    log_info("assignment repeated", {{"job", job.id}, {"fence", job.fence}, {"agent", agent}});
    assignments.push_back(assignment(std::move(leased), now, expires_at));
  }
  co_return assignments;
}

void LeaseBook::count_stale(int64_t job, int64_t fence, const std::string& agent) {
  stale_.add();
  log_info("stale fence refused", {{"job", job}, {"fence", fence}, {"agent", agent}});
  access::audit_later(parts_.database, parts_.clock.now(),
                      {agent, "stale fence refused", "job-" + std::to_string(job), "",
                       "fence " + std::to_string(fence)});
}

Task<Result<Renewal>> LeaseBook::renew(int64_t job, int64_t fence, std::string agent) {
  const Time now = parts_.clock.now();
  const Time expires_at = now + parts_.ttl;
  const Duration deadline = parts_.clock.steady() + parts_.ttl;
  std::function<Result<std::optional<Leased>>(db::Transaction&)> work =
      [=](db::Transaction& tx) -> Result<std::optional<Leased>> {
    const int64_t changed = TRY(
        tx.run("UPDATE jobs SET lease_expires_us = $1 WHERE id = $2 AND fence = $3 AND agent = $4 "
               "AND state IN ('leased', 'running')",
               expires_at, job, fence, agent));
    if (changed == 0) return std::nullopt;
    auto found = TRY(find_job(tx, job));
    if (!found) return std::nullopt;
    Standing standing = TRY(find_standing(tx, *found));
    return Leased{std::move(*found), std::move(standing)};
  };
  CO_TRY_ASSIGN(std::optional<Leased> renewed,
                co_await parts_.writer.write<std::optional<Leased>>(std::move(work)));
  if (!renewed) {
    count_stale(job, fence, agent);
    co_return fail(
        Code::conflict,
        "the lease is over: fence " + std::to_string(fence) + " is not the job's running execution",
        "stop the execution");
  }
  Renewal renewal{expires_at, renewed->job.cancel_requested, {}};
  if (LiveLease* lease = parts_.board.leases().find(job); lease != nullptr) {
    lease->deadline = std::max(lease->deadline, deadline);
    lease->acknowledged = true;
    renewal.cancel = renewal.cancel || lease->cancel;
  }
  renewed_.add();
  renewal.job_token = assignment(std::move(*renewed), now, expires_at).job_token;
  co_return renewal;
}

Task<Result<Report>> LeaseBook::report(int64_t job, std::string agent, JobEvent event) {
  const Time now = parts_.clock.now();
  std::set<std::string> declined = parts_.board.queue().declined(job);
  declined.insert(agent);
  std::function<Result<Recorded>(db::Transaction&)> work =
      [job, agent, event, now,
       declined = std::move(declined)](db::Transaction& tx) -> Result<Recorded> {
    auto head = TRY(find_head(tx, job));
    if (!head) return fail(Code::not_found, "no such job");
    return record_report(tx, *head, {agent, event, now, declined});
  };
  CO_TRY_ASSIGN(const Recorded recorded, co_await parts_.writer.write<Recorded>(std::move(work)));
  if (recorded.report.outcome == ReportOutcome::stale) count_stale(job, event.fence, agent);
  if (LiveLease* lease = parts_.board.leases().find(job);
      lease != nullptr && recorded.report.outcome == ReportOutcome::recorded) {
    lease->acknowledged = true;
  }
  // Before it is queued, or the same agent would be given it again.
  if (recorded.change && event.lacks_image) parts_.board.queue().decline(job, agent);
  if (recorded.change) parts_.board.apply(*recorded.change);
  co_return recorded.report;
}

Task<void> LeaseBook::end(int64_t job, int64_t fence, std::string why) {
  const Time now = parts_.clock.now();
  std::function<Result<std::optional<JobChange>>(db::Transaction&)> work =
      [=](db::Transaction& tx) -> Result<std::optional<JobChange>> {
    auto head = TRY(find_head(tx, job));
    if (!head || head->fence != fence || !head->is_leased()) return std::nullopt;
    return TRY(requeue_or_end(tx, *head, why, now));
  };
  const auto change = co_await parts_.writer.write<std::optional<JobChange>>(std::move(work));
  if (!change) {
    log_error("ending a lease", change.error());
  } else if (*change) {
    expired_.add();
    log_warn("lease ended",
             {{"job", job}, {"fence", fence}, {"why", why}, {"state", to_string((*change)->to)}});
    parts_.board.apply(**change);
  }
}

Task<void> LeaseBook::sweep() {
  const Duration now = parts_.clock.steady();
  const Duration gap = now - std::exchange(swept_at_, now);
  LeaseTable& leases = parts_.board.leases();
  if (gap > std::max(kSweepGapMax, parts_.ttl / 2)) {
    log_warn("this process was stopped; leases get a fresh time to live",
             {{"seconds", std::chrono::duration_cast<std::chrono::seconds>(gap).count()}});
    leases.extend_all(now + parts_.ttl);
    co_return;
  }
  for (const int64_t job : leases.expired(now)) {
    const LiveLease* lease = leases.find(job);
    if (lease == nullptr || lease->deadline > now) continue;
    co_await end(job, lease->fence, "agent " + lease->agent + " stopped renewing its lease");
  }
}

Task<void> LeaseBook::end_unplaceable() {
  const Time now = parts_.clock.now();
  for (const int64_t job : parts_.board.queue().queued_and_declined()) {
    std::function<Result<std::optional<JobChange>>(db::Transaction&)> work =
        [job, now, declined = parts_.board.queue().declined(job)](
            db::Transaction& tx) -> Result<std::optional<JobChange>> {
      auto head = TRY(find_head(tx, job));
      if (!head) return std::nullopt;
      return control::end_unplaceable(tx, *head, declined, now);
    };
    const auto change = co_await parts_.writer.write<std::optional<JobChange>>(std::move(work));
    if (!change) log_error("ending a job that no agent can run", change.error());
    if (change && *change) parts_.board.apply(**change);
  }
}

Task<Result<void>> LeaseBook::end_all(std::string agent, std::string why) {
  for (const int64_t job : parts_.board.leases().of_agent(agent)) {
    const LiveLease* lease = parts_.board.leases().find(job);
    if (lease != nullptr) co_await end(job, lease->fence, why);
  }
  co_return Result<void>();
}

}  // namespace nimbus::control
