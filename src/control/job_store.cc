#include "control/job_store.h"

#include <algorithm>
#include <array>

#include "access/ended_leases.h"
#include "base/check.h"

namespace nimbus::control {
namespace {

using db::Parameter;
using db::Row;
using db::Rows;
using model::JobState;

constexpr std::string_view kInsert =
    "INSERT INTO jobs (org, repo, ref, sha, state, reason, held, fence, tries, tries_max, moves, "
    "event_seq, cancel_requested, created_us, finished_us, profile, image, command, env, labels, "
    "metadata, cpus, memory_mb, disk_mb, timeout_s, rerun_of, github_job_id, github_run_id, "
    "github_run_attempt, github_installation_id, github_workflow_name, github_job_name, "
    "github_html_url, github_default_branch, github_rank, github_conclusion, github_runner_name, "
    "started_us) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, $8, 0, 0, 0, $9, $10, $11, $12, $13, $14, $15, $16, "
    "$17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33) "
    "ON CONFLICT (github_job_id, github_run_attempt) DO NOTHING";

constexpr std::string_view kHeadColumns =
    "id, org, state, reason, held, fence, tries, tries_max, moves, event_seq, cancel_requested, "
    "agent, exit_code, log_last_seq, created_us, leased_us, started_us, finished_us, "
    "lease_expires_us, cpus, memory_mb, disk_mb, github_job_id, github_rank, github_conclusion, "
    "github_runner_name";

constexpr std::string_view kJobColumns =
    "jobs.id, org, repo, ref, sha, state, reason, held, profile, image, command, env, labels, "
    "metadata, cpus, memory_mb, disk_mb, timeout_s, fence, tries, tries_max, agent, exit_code, "
    "log_last_seq, cancel_requested, created_us, leased_us, started_us, finished_us, rerun_of, "
    "github_job_id, github_run_id, github_run_attempt, github_installation_id, "
    "github_workflow_name, github_job_name, github_html_url, github_default_branch, github_rank, "
    "github_conclusion, github_runner_name";

constexpr size_t kJobColumnCount = 41;

JobState state_of(const std::string& name) {
  const auto state = model::find_job_state(name);
  CHECK(state.has_value());
  return *state;
}

model::Resources resources_of(const Row& row, size_t first) {
  return {static_cast<int>(row.integer(first)), static_cast<int>(row.integer(first + 1)),
          static_cast<int>(row.integer(first + 2))};
}

JobHead head_of(const Row& row) {
  JobHead head;
  head.id = row.integer(0);
  head.org = row.text(1);
  head.state = state_of(row.text(2));
  head.reason = row.text(3);
  head.held = row.integer(4) != 0;
  head.fence = row.integer(5);
  head.tries = row.integer(6);
  head.tries_max = row.integer(7);
  head.moves = row.integer(8);
  head.event_seq = row.integer(9);
  head.cancel_requested = row.integer(10) != 0;
  head.agent = row.find_text(11);
  head.exit_code = row.find_integer(12);
  head.log_last_seq = row.find_integer(13);
  head.created_at = row.time(14);
  head.leased_at = row.find_time(15);
  head.started_at = row.find_time(16);
  head.finished_at = row.find_time(17);
  head.lease_expires_at = row.find_time(18);
  head.resources = resources_of(row, 19);
  head.github_job_id = row.find_integer(22);
  head.github_rank = row.find_integer(23).value_or(0);
  head.github_conclusion = row.find_text(24).value_or("");
  head.github_runner_name = row.find_text(25).value_or("");
  return head;
}

GithubFacts github_of(const Row& row, size_t first) {
  GithubFacts github;
  github.job_id = row.integer(first);
  github.run_id = row.integer(first + 1);
  github.run_attempt = row.integer(first + 2);
  github.installation_id = row.find_integer(first + 3);
  github.workflow_name = row.find_text(first + 4).value_or("");
  github.job_name = row.find_text(first + 5).value_or("");
  github.html_url = row.find_text(first + 6).value_or("");
  github.default_branch = row.find_text(first + 7).value_or("");
  github.rank = row.find_integer(first + 8).value_or(0);
  github.conclusion = row.find_text(first + 9).value_or("");
  github.runner_name = row.find_text(first + 10).value_or("");
  return github;
}

Job job_of(const Row& row) {
  Job job;
  job.id = row.integer(0);
  job.org = row.text(1);
  job.repo = row.text(2);
  job.ref = row.find_text(3);
  job.sha = row.find_text(4);
  job.state = state_of(row.text(5));
  job.reason = row.text(6);
  job.held = row.integer(7) != 0;
  job.profile = row.find_text(8);
  job.image = row.text(9);
  job.text = {row.text(10), row.text(11), row.text(12), row.text(13)};
  job.resources = resources_of(row, 14);
  job.timeout_s = static_cast<int>(row.integer(17));
  job.fence = row.integer(18);
  job.tries = row.integer(19);
  job.tries_max = row.integer(20);
  job.agent = row.find_text(21);
  job.exit_code = row.find_integer(22);
  job.log_last_seq = row.find_integer(23);
  job.cancel_requested = row.integer(24) != 0;
  job.created_at = row.time(25);
  job.leased_at = row.find_time(26);
  job.started_at = row.find_time(27);
  job.finished_at = row.find_time(28);
  job.rerun_of = row.find_integer(29);
  if (!row.is_null(30)) job.github = github_of(row, 30);
  return job;
}

Result<void> record_transition(db::Transaction& tx, int64_t id, int64_t number, JobState state,
                               int64_t fence, Time at, std::string_view reason) {
  TRY(
      tx.run("INSERT INTO job_transitions (job_id, number, state, fence, at_us, reason) "
             "VALUES ($1, $2, $3, $4, $5, $6)",
             id, number, model::to_string(state), fence, at, reason));
  return {};
}

std::optional<std::string_view> text_or_null(const std::string& text) {
  if (text.empty()) return std::nullopt;
  return text;
}

Result<std::optional<int64_t>> insert_row(db::Transaction& tx, const Job& job,
                                          const JobStart& start) {
  const GithubFacts* github = job.github ? &*job.github : nullptr;
  const auto number = [github](int64_t value) {
    return github == nullptr ? Parameter(nullptr) : Parameter(value);
  };
  const auto words = [github](const std::string& text) {
    return github == nullptr ? Parameter(nullptr) : Parameter(text_or_null(text));
  };
  static const GithubFacts kNone;
  const GithubFacts& facts = github == nullptr ? kNone : *github;
  const std::array<Parameter, 33> parameters = {start.org,
                                                job.repo,
                                                job.ref,
                                                job.sha,
                                                model::to_string(start.state),
                                                start.reason,
                                                start.held,
                                                job.tries_max,
                                                job.created_at,
                                                start.finished_at,
                                                job.profile,
                                                job.image,
                                                job.text.command,
                                                job.text.env,
                                                job.text.labels,
                                                job.text.metadata,
                                                job.resources.cpus,
                                                job.resources.memory_mb,
                                                job.resources.disk_mb,
                                                job.timeout_s,
                                                job.rerun_of,
                                                number(facts.job_id),
                                                number(facts.run_id),
                                                number(facts.run_attempt),
                                                facts.installation_id,
                                                words(facts.workflow_name),
                                                words(facts.job_name),
                                                words(facts.html_url),
                                                words(facts.default_branch),
                                                number(facts.rank),
                                                words(facts.conclusion),
                                                words(facts.runner_name),
                                                start.started_at};
  return tx.insert_with(kInsert, parameters);
}

}  // namespace

Result<std::optional<int64_t>> insert_job(db::Transaction& tx, const Job& job,
                                          const JobStart& start) {
  const auto id = TRY(insert_row(tx, job, start));
  if (!id) return id;
  for (const std::string& term : job.terms) {
    TRY(tx.run("INSERT INTO job_terms (term, job_id) VALUES ($1, $2)", term, *id));
  }
  // "queued, nothing to say" is implied (migrations.h).
  if (start.state != JobState::queued || !start.reason.empty()) {
    TRY(record_transition(tx, *id, 0, start.state, 0, job.created_at, start.reason));
  }
  return id;
}

Result<std::optional<JobHead>> find_head(db::Transaction& tx, int64_t id) {
  static const std::string kSql =
      "SELECT " + std::string(kHeadColumns) + " FROM jobs WHERE id = $1";
  const auto row = TRY(tx.find(kSql, id));
  if (!row) return std::nullopt;
  return head_of(*row);
}

Result<std::optional<JobHead>> find_github_head(db::Transaction& tx, int64_t github_job_id,
                                                int64_t run_attempt) {
  static const std::string kSql = "SELECT " + std::string(kHeadColumns) +
                                  " FROM jobs WHERE github_job_id = $1 AND github_run_attempt = $2";
  const auto row = TRY(tx.find(kSql, github_job_id, run_attempt));
  if (!row) return std::nullopt;
  return head_of(*row);
}

Result<void> save_head(db::Transaction& tx, const JobHead& head) {
  TRY(
      tx.run("UPDATE jobs SET state = $1, reason = $2, held = $3, tries = $4, moves = $5, "
             "event_seq = $6, cancel_requested = $7, agent = $8, exit_code = $9, "
             "log_last_seq = $10, leased_us = $11, started_us = $12, finished_us = $13, "
             "lease_expires_us = $14, github_rank = $15, github_conclusion = $16, "
             "github_runner_name = $17 WHERE id = $18",
             model::to_string(head.state), head.reason, head.held, head.tries, head.moves,
             head.event_seq, head.cancel_requested, head.agent, head.exit_code, head.log_last_seq,
             head.leased_at, head.started_at, head.finished_at, head.lease_expires_at,
             head.is_github() ? Parameter(head.github_rank) : Parameter(nullptr),
             text_or_null(head.github_conclusion), text_or_null(head.github_runner_name), head.id));
  return {};
}

Result<JobChange> move_job(db::Transaction& tx, JobHead& head, JobState to, std::string reason,
                           Moment when) {
  CHECK(model::can_move(head.state, to));
  const JobState from = head.state;
  head.state = to;
  head.reason = std::move(reason);
  head.moves += 1;
  if (to == JobState::running) head.started_at = when.happened;
  if (model::is_final(to)) head.finished_at = when.happened;
  if (to == JobState::queued) {
    head.agent = std::nullopt;
    head.leased_at = head.started_at = std::nullopt;
  }
  if (to != JobState::leased && to != JobState::running && head.lease_expires_at) {
    TRY(access::end_lease_in(tx, {head.id}, {head.fence}, *head.lease_expires_at, when.recorded));
    head.lease_expires_at = std::nullopt;
  }
  TRY(save_head(tx, head));
  TRY(record_transition(tx, head.id, head.moves, to, head.fence, when.happened, head.reason));
  return change_of(head, from);
}

Result<void> end_tokens_of_agent(db::Transaction& tx, const std::string& agent, Time now) {
  const Rows rows = TRY(
      tx.query("SELECT id, fence, lease_expires_us FROM jobs WHERE state IN ('leased', 'running') "
               "AND state <> 'queued' AND agent = $1 AND lease_expires_us IS NOT NULL",
               agent));
  for (const Row& row : rows) {
    TRY(access::end_lease_in(tx, {row.integer(0)}, {row.integer(1)}, row.time(2), now));
  }
  return {};
}

Result<std::vector<JobHead>> find_forsaken(db::Transaction& tx, Time since, int limit) {
  static const std::string kSql =
      "SELECT " + std::string(kHeadColumns) +
      " FROM jobs WHERE state = 'running' AND state <> 'queued' AND lease_expires_us IS NULL "
      "AND started_us < $1 ORDER BY id LIMIT $2";
  std::vector<JobHead> heads;
  for (const Row& row : TRY(tx.query(kSql, since, limit))) heads.push_back(head_of(row));
  return heads;
}

Result<std::optional<Job>> claim_job(db::Transaction& tx, int64_t id, const Claim& claim) {
  static const std::string kSql =
      "UPDATE jobs SET state = 'leased', reason = '', fence = fence + 1, tries = tries + 1, "
      "moves = moves + 1, event_seq = 0, agent = $1, leased_us = $2, lease_expires_us = $3, "
      "started_us = NULL, exit_code = NULL, log_last_seq = NULL "
      "WHERE id = $4 AND state = 'queued' AND held = 0 RETURNING " +
      std::string(kJobColumns) + ", moves";
  const auto row = TRY(tx.find(kSql, claim.agent, claim.now, claim.expires_at, id));
  if (!row) return std::nullopt;
  Job job = job_of(*row);
  TRY(record_transition(tx, id, row->integer(kJobColumnCount), JobState::leased, job.fence,
                        claim.now, ""));
  return job;
}

Result<std::optional<Job>> find_job(db::Transaction& tx, int64_t id) {
  static const std::string kSql = "SELECT " + std::string(kJobColumns) + " FROM jobs WHERE id = $1";
  const auto row = TRY(tx.find(kSql, id));
  if (!row) return std::nullopt;
  return job_of(*row);
}

Result<std::vector<Job>> find_jobs(db::Transaction& tx, const std::vector<int64_t>& ids) {
  std::vector<Job> jobs;
  for (const int64_t id : ids) {
    if (auto job = TRY(find_job(tx, id))) jobs.push_back(std::move(*job));
  }
  return jobs;
}

namespace {

// A WHERE clause that grows with its parameters.
class Conditions {
 public:
  size_t next() const { return parameters.size() + 1; }
  // `$` in `sql` becomes the parameter's number.
  void add(std::string sql, Parameter parameter) {
    const size_t at = sql.find('$');
    sql.insert(at + 1, std::to_string(next()));
    append(sql);
    parameters.push_back(parameter);
  }
  void append(std::string_view sql) {
    text += text.empty() ? " WHERE " : " AND ";
    text += sql;
  }

  std::string text;
  std::vector<Parameter> parameters;
};

// Where one search looks: every job; the queued or the others (each half has its indexes,
// migrations.h); or the jobs of a term, whose index lists them in order.
enum class Source { all, queued, others, term };

std::string state_list(const std::vector<JobState>& states) {
  std::string list;
  for (const JobState state : states) {
    list += (list.empty() ? "'" : ", '") + std::string(model::to_string(state)) + "'";
  }
  return list;
}

Conditions conditions_of(const JobFilter& filter, const std::optional<std::string>& org,
                         Source source) {
  Conditions where;
  const bool by_term = source == Source::term;
  if (by_term) where.add("found.term = $", filter.terms.front());
  for (size_t i = 1; i < filter.terms.size(); ++i) {
    where.add("EXISTS (SELECT 1 FROM job_terms t WHERE t.job_id = jobs.id AND t.term = $)",
              filter.terms[i]);
  }
  if (filter.before > 0) where.add(by_term ? "found.job_id < $" : "jobs.id < $", filter.before);
  if (source == Source::queued) where.append("state = 'queued'");
  if (source == Source::others) where.append("state <> 'queued'");
  if (org) where.add("lower(org) = $", *org);
  // With an org its index is the better one, so the state is hidden from the planner.
  if (!filter.states.empty()) {
    where.append((org ? "state || '' IN (" : "state IN (") + state_list(filter.states) + ")");
  }
  if (filter.repo) where.add("lower(repo) = lower($)", *filter.repo);
  if (filter.since) where.add("created_us >= $", *filter.since);
  if (filter.until) where.add("created_us < $", *filter.until);
  return where;
}

Result<void> search(db::Transaction& tx, const JobFilter& filter,
                    const std::optional<std::string>& org, Source source, std::vector<Job>& found) {
  Conditions where = conditions_of(filter, org, source);
  const bool by_term = source == Source::term;
  const std::string sql =
      "SELECT " + std::string(kJobColumns) +
      (by_term ? " FROM job_terms found JOIN jobs ON jobs.id = found.job_id" : " FROM jobs") +
      where.text + " ORDER BY " + (by_term ? "found.job_id" : "jobs.id") + " DESC LIMIT $" +
      std::to_string(where.next());
  where.parameters.emplace_back(filter.limit);
  for (const Row& row : TRY(tx.query_with(sql, where.parameters))) found.push_back(job_of(row));
  return {};
}

// The parts of a search, each of which an index answers in order.
std::vector<std::pair<Source, JobFilter>> parts_of(const JobFilter& filter, bool by_org) {
  if (!filter.terms.empty()) return {{Source::term, filter}};
  if (by_org) return {{Source::queued, filter}, {Source::others, filter}};
  if (filter.states.empty()) return {{Source::all, filter}};
  std::vector<std::pair<Source, JobFilter>> parts;
  for (const JobState state : filter.states) {
    parts.emplace_back(state == JobState::queued ? Source::queued : Source::others, filter);
    parts.back().second.states = {state};
  }
  return parts;
}

}  // namespace

Result<std::vector<Job>> list_jobs(db::Transaction& tx, const JobFilter& filter) {
  std::vector<Job> jobs;
  if (filter.orgs.is_nothing()) return jobs;
  const auto org = filter.orgs.single();
  for (const auto& [source, part] : parts_of(filter, org.has_value())) {
    TRY(search(tx, part, org, source, jobs));
  }
  std::sort(jobs.begin(), jobs.end(), [](const Job& a, const Job& b) { return a.id > b.id; });
  if (jobs.size() > static_cast<size_t>(filter.limit)) {
    jobs.resize(static_cast<size_t>(filter.limit));
  }
  return jobs;
}

Result<std::vector<model::Transition>> read_transitions(db::Transaction& tx, const Job& job) {
  const Rows rows =
      TRY(tx.query("SELECT number, state, fence, at_us, reason FROM job_transitions "
                   "WHERE job_id = $1 ORDER BY number",
                   job.id));
  std::vector<model::Transition> transitions;
  if (rows.empty() || rows.front().integer(0) != 0) {
    transitions.push_back({JobState::queued, {0}, job.created_at, ""});
  }
  for (const Row& row : rows) {
    transitions.push_back({state_of(row.text(1)), {row.integer(2)}, row.time(3), row.text(4)});
  }
  return transitions;
}

}  // namespace nimbus::control
