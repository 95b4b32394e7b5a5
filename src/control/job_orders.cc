#include "control/job_orders.h"

#include "base/text.h"
#include "control/job_request.h"

namespace nimbus::control {
namespace {

using model::JobState;

constexpr std::string_view kBeing = "being ";  // before the reason, until the execution is gone

Result<std::optional<Ordered>> find_ordered(db::Transaction& tx, const std::string& org,
                                            const IdempotencyKey& key, Time now) {
  const auto row =
      TRY(tx.find("SELECT request_hash, job_id FROM job_requests WHERE org = $1 AND "
                  "idempotency_key = $2 AND created_us > $3",
                  org, key.key, now - kIdempotencyKept));
  if (!row) return std::nullopt;
  if (row->text(0) != key.request_hash) {
    return fail(Code::conflict, "this Idempotency-Key was used for another request",
                "use a new key for a new job");
  }
  const auto head = TRY(find_head(tx, row->integer(1)));
  if (!head) return std::nullopt;
  return Ordered{head->id, head->state, std::nullopt};
}

Result<Ordered> queue_new(db::Transaction& tx, const Job& job) {
  const auto id = TRY(insert_job(tx, job, {.org = job.org}));
  if (!id) return fail(Code::internal, "a native job met a conflict");
  return Ordered{*id, JobState::queued,
                 JobChange{*id, job.org, std::nullopt, JobState::queued, false, false, 0,
                           job.resources, job.created_at}};
}

}  // namespace

Result<Ordered> create_job(db::Transaction& tx, const OrgStore& orgs, Job job,
                           const std::optional<IdempotencyKey>& key) {
  const std::string org = to_lower(job.org);
  if (key) {
    if (auto earlier = TRY(find_ordered(tx, org, *key, job.created_at))) return std::move(*earlier);
  }
  job.org = TRY(orgs.see_in(tx, job.org, job.created_at));
  Ordered ordered = TRY(queue_new(tx, job));
  if (key) {
    TRY(
        tx.run("INSERT INTO job_requests (org, idempotency_key, request_hash, job_id, created_us) "
               "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (org, idempotency_key) DO UPDATE SET "
               "request_hash = excluded.request_hash, job_id = excluded.job_id, "
               "created_us = excluded.created_us",
               org, key->key, key->request_hash, ordered.job, job.created_at));
  }
  return ordered;
}

Result<std::optional<JobChange>> cancel_job(db::Transaction& tx, JobHead head, std::string_view by,
                                            Time now) {
  if (head.state == JobState::cancelled) return std::nullopt;
  if (model::is_final(head.state)) {
    return fail(Code::conflict,
                "the job has already ended: " + std::string(model::to_string(head.state)));
  }
  const std::string reason = "cancelled by " + std::string(by);
  if (!head.is_leased()) {
    head.held = false;
    return TRY(move_job(tx, head, JobState::cancelled, reason, now));
  }
  if (head.cancel_requested) return std::nullopt;
  head.cancel_requested = true;
  head.reason = std::string(kBeing) + reason;
  TRY(save_head(tx, head));
  return change_of(head, head.state);
}

std::string reason_of_cancel(const JobHead& head) {
  const std::string_view reason = head.reason;
  return std::string(reason.starts_with(kBeing) ? reason.substr(kBeing.size()) : reason);
}

Result<Ordered> rerun_job(db::Transaction& tx, const Job& job, Time now) {
  if (!model::is_final(job.state)) {
    return fail(Code::conflict,
                "the job has not ended: " + std::string(model::to_string(job.state)),
                "cancel it first");
  }
  Job again;
  again.org = job.org;
  again.repo = job.repo;
  again.ref = job.ref;
  again.sha = job.sha;
  again.profile = job.profile;
  again.image = job.image;
  again.text = job.text;
  again.resources = job.resources;
  again.timeout_s = job.timeout_s;
  again.tries_max = job.tries_max;
  again.created_at = now;
  again.rerun_of = job.id;
  again.terms = terms_of(job.text);
  return queue_new(tx, again);
}

Result<int64_t> forget_requests(db::Transaction& tx, Time now, int limit) {
  return tx.run(
      "DELETE FROM job_requests WHERE created_us IN (SELECT created_us FROM job_requests "
      "WHERE created_us < $1 ORDER BY created_us LIMIT $2)",
      now - kIdempotencyKept, limit);
}

}  // namespace nimbus::control
