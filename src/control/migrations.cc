#include "control/migrations.h"

#include <array>

namespace nimbus::control {
namespace {

// jobs: `held` keeps a job from dispatch until GitHub releases it; `moves` numbers the transitions;
// `event_seq` is the last report of the current fence that was recorded; `github_rank` never falls.
// INTEGER PRIMARY KEY stands for "numbered by the engine"; AUTOINCREMENT: no number twice, ever;
// WITHOUT ROWID: the key's index is the table.
constexpr std::string_view kJobs = R"sql(
CREATE TABLE jobs (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  org TEXT NOT NULL,
  repo TEXT NOT NULL,
  ref TEXT,
  sha TEXT,
  state TEXT NOT NULL,
  reason TEXT NOT NULL,
  held BIGINT NOT NULL,
  fence BIGINT NOT NULL,
  tries BIGINT NOT NULL,
  tries_max BIGINT NOT NULL,
  moves BIGINT NOT NULL,
  event_seq BIGINT NOT NULL,
  cancel_requested BIGINT NOT NULL,
  agent TEXT,
  exit_code BIGINT,
  log_last_seq BIGINT,
  created_us BIGINT NOT NULL,
  leased_us BIGINT,
  started_us BIGINT,
  finished_us BIGINT,
  lease_expires_us BIGINT,
  profile TEXT,
  image TEXT NOT NULL,
  command TEXT NOT NULL,
  env TEXT NOT NULL,
  labels TEXT NOT NULL,
  metadata TEXT NOT NULL,
  cpus BIGINT NOT NULL,
  memory_mb BIGINT NOT NULL,
  disk_mb BIGINT NOT NULL,
  timeout_s BIGINT NOT NULL,
  rerun_of BIGINT,
  github_job_id BIGINT,
  github_run_id BIGINT,
  github_run_attempt BIGINT,
  github_installation_id BIGINT,
  github_workflow_name TEXT,
  github_job_name TEXT,
  github_html_url TEXT,
  github_default_branch TEXT,
  github_rank BIGINT,
  github_conclusion TEXT,
  github_runner_name TEXT
);
CREATE UNIQUE INDEX jobs_by_github_job ON jobs (github_job_id, github_run_attempt);
CREATE INDEX jobs_queued ON jobs (id, lower(org)) WHERE state = 'queued';
CREATE INDEX jobs_by_org ON jobs (lower(org), id) WHERE state <> 'queued';
CREATE INDEX jobs_by_state ON jobs (state, id) WHERE state <> 'queued';
CREATE TABLE job_terms (
  term TEXT NOT NULL,
  job_id BIGINT NOT NULL,
  PRIMARY KEY (term, job_id)
) WITHOUT ROWID;
CREATE TABLE job_transitions (
  job_id BIGINT NOT NULL,
  number BIGINT NOT NULL,
  state TEXT NOT NULL,
  fence BIGINT NOT NULL,
  at_us BIGINT NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (job_id, number)
) WITHOUT ROWID;
CREATE TABLE job_requests (
  org TEXT NOT NULL,
  idempotency_key TEXT NOT NULL,
  request_hash TEXT NOT NULL,
  job_id BIGINT NOT NULL,
  created_us BIGINT NOT NULL,
  PRIMARY KEY (org, idempotency_key)
);
CREATE INDEX job_requests_by_time ON job_requests (created_us);
CREATE TABLE job_buckets (
  org TEXT PRIMARY KEY,
  tokens DOUBLE PRECISION NOT NULL,
  updated_us BIGINT NOT NULL
);
)sql";

// deliveries: `body_mark` tells a replay from a reused GUID (delivery.h).
constexpr std::string_view kDeliveries = R"sql(
CREATE TABLE deliveries (
  id INTEGER PRIMARY KEY,
  guid TEXT NOT NULL,
  body_mark TEXT NOT NULL,
  event TEXT NOT NULL,
  action TEXT,
  org TEXT,
  repo TEXT,
  result TEXT NOT NULL,
  job_id BIGINT,
  received_us BIGINT NOT NULL
);
CREATE UNIQUE INDEX deliveries_by_guid ON deliveries (guid);
CREATE TABLE github_owners (
  owner_id BIGINT PRIMARY KEY,
  org TEXT NOT NULL,
  login TEXT NOT NULL
);
CREATE UNIQUE INDEX github_owners_by_org ON github_owners (lower(org));
)sql";

// github_runs: what `workflow_run` events said (standing.h). Kept by owner, because a run's event
// may come before the first job makes the owner an org.
constexpr std::string_view kRuns = R"sql(
CREATE TABLE github_runs (
  owner_id BIGINT NOT NULL,
  repo TEXT NOT NULL,
  run_id BIGINT NOT NULL,
  event TEXT NOT NULL,
  trust TEXT NOT NULL,
  cache_ref TEXT NOT NULL,
  base_ref TEXT NOT NULL,
  seen_us BIGINT NOT NULL,
  PRIMARY KEY (owner_id, repo, run_id)
) WITHOUT ROWID;
CREATE INDEX github_runs_by_time ON github_runs (seen_us);
)sql";

}  // namespace

const db::MigrationSet& control_migrations() {
  static constexpr std::array<db::Migration, 3> kMigrations = {
      db::Migration{1, "jobs", kJobs},
      db::Migration{2, "deliveries", kDeliveries},
      db::Migration{3, "runs of GitHub's", kRuns},
  };
  static constexpr db::MigrationSet kSet{"control", kMigrations};
  return kSet;
}

}  // namespace nimbus::control
