// A job as the database keeps it. What stands in a row as JSON text (command, environment, labels,
// metadata) stays text here: it is written once, from checked values, and only passed on
// afterwards.
//
// Threads: values.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "model/job.h"

namespace nimbus::control {

// What GitHub says about a job.
struct GithubFacts {
  int64_t job_id = 0;
  int64_t run_id = 0;
  int64_t run_attempt = 1;
  std::optional<int64_t> installation_id;
  std::string workflow_name;
  std::string job_name;
  std::string html_url;
  std::string default_branch;
  std::string runner_name;  // who took it
  std::string conclusion;
  int64_t rank = 1;  // GithubRank
};

struct JobText {
  std::string command = "[]";
  std::string env = "{}";
  std::string labels = "[]";
  std::string metadata = "{}";
};

struct Job {
  int64_t id = 0;
  std::string org;
  std::string repo;
  std::optional<std::string> ref;
  std::optional<std::string> sha;
  model::JobState state = model::JobState::queued;
  std::string reason;
  bool held = false;  // GitHub has not released it yet
  std::optional<std::string> profile;
  std::string image;
  JobText text;
  model::Resources resources;
  int timeout_s = 3600;
  int64_t fence = 0;
  int64_t tries = 0;
  int64_t tries_max = 1;
  std::optional<std::string> agent;
  std::optional<int64_t> exit_code;
  std::optional<int64_t> log_last_seq;
  bool cancel_requested = false;
  Time created_at;
  std::optional<Time> leased_at;
  std::optional<Time> started_at;
  std::optional<Time> finished_at;
  std::optional<GithubFacts> github;
  std::optional<int64_t> rerun_of;
  std::vector<std::string> terms;  // only to insert: what it can be found by
};

// Where a new job begins, apart from what it is: GitHub's jobs may be far along when they are first
// heard of.
struct JobStart {
  std::string_view org;
  model::JobState state = model::JobState::queued;
  std::string_view reason = {};
  bool held = false;
  std::optional<Time> started_at = {};
  std::optional<Time> finished_at = {};
};

// What a job can be found by: "l:" and a label in lower case; "m:", key, "=", value.
std::string label_term(std::string_view label);
std::string metadata_term(std::string_view key, std::string_view value);

// The part of a job that changes, read and written back within one transaction.
struct JobHead {
  int64_t id = 0;
  std::string org;
  model::JobState state = model::JobState::queued;
  std::string reason;
  bool held = false;
  int64_t fence = 0;
  int64_t tries = 0;
  int64_t tries_max = 1;
  int64_t moves = 0;
  int64_t event_seq = 0;
  bool cancel_requested = false;
  std::optional<std::string> agent;
  std::optional<int64_t> exit_code;
  std::optional<int64_t> log_last_seq;
  Time created_at;
  std::optional<Time> leased_at;
  std::optional<Time> started_at;
  std::optional<Time> finished_at;
  std::optional<Time> lease_expires_at;
  model::Resources resources;
  std::optional<int64_t> github_job_id;
  int64_t github_rank = 0;
  std::string github_conclusion;
  std::string github_runner_name;

  bool is_github() const { return github_job_id.has_value(); }
  // An execution of ours holds it: leased or running, by an agent.
  bool is_leased() const { return lease_expires_at.has_value(); }
};

// What a transaction did to a job, for the parts of control that live in memory (board.h). Sent to
// them once the transaction is durable.
struct JobChange {
  int64_t id = 0;
  std::string org;
  std::optional<model::JobState> from;  // nullopt: it is new
  model::JobState to = model::JobState::queued;
  bool held = false;
  bool cancel_requested = false;
  int64_t fence = 0;
  model::Resources resources;
  Time queued_at;
};

JobChange change_of(const JobHead& head, std::optional<model::JobState> from);

// The API's Job and JobDetail. `hold`: why a queued job waits, when its row does not say.
std::string job_json(const Job& job, std::string_view hold);
std::string job_detail_json(const Job& job, std::string_view hold,
                            const std::vector<model::Transition>& transitions);

}  // namespace nimbus::control
