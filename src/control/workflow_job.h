// The `workflow_job` event of GitHub's, read from a body whose signature has been verified. Strict:
// one well-formed JSON object in UTF-8, nested at most 32 deep, the fields that Nimbus uses present
// and of the right type, none of them twice.
//
// Threads: pure functions; the parser's buffers are kept per thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace nimbus::control {

// In the order a job goes through them; a delivery never moves a job back.
enum class GithubRank { waiting, queued, in_progress, completed };

struct WorkflowJob {
  GithubRank rank = GithubRank::queued;  // of the action; `queued` with status `waiting` waits
  int64_t job_id = 0;
  int64_t run_id = 0;
  int64_t run_attempt = 1;
  std::string conclusion;  // completed only
  std::vector<std::string> labels;
  std::string runner_name;  // who took it; means nothing before in_progress
  std::string head_sha;
  std::string head_branch;
  std::string workflow_name;
  std::string name;
  std::string html_url;
  Time newest;  // of created_at, started_at and completed_at

  std::string owner;  // repository.owner.login
  std::optional<int64_t> owner_id;
  std::string repo;
  std::string default_branch;
  std::optional<int64_t> installation_id;
};

// What any other event is kept for: the list of deliveries.
struct OtherEvent {
  std::string action;
  std::string owner;  // "" when the event has no repository
  std::string repo;
};

// bad_request: what is wrong, by field. nullopt: an action that means nothing here.
Result<std::optional<WorkflowJob>> parse_workflow_job(std::string_view body);
// bad_request: not one well-formed JSON object.
Result<OtherEvent> parse_other_event(std::string_view body);

std::string_view to_string(GithubRank rank);

}  // namespace nimbus::control
