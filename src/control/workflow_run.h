// The `workflow_run` event of GitHub's: what started a run, and whose branch it runs. A
// `workflow_job` does not say whether a fork's pull request is behind it; this event alone does.
//
// Threads: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace nimbus::control {

struct WorkflowRun {
  int64_t run_id = 0;
  std::string event;        // "push", "pull_request", …
  std::string head_branch;  // of the head repository
  int64_t repository_id = 0;
  std::optional<int64_t> head_repository_id;  // nullopt: it is gone, or was not said
  int64_t owner_id = 0;
  std::string owner;
  std::string repo;
  std::optional<int64_t> pull_request;  // the only one there is; never told for forks
  std::string base_branch;              // of that pull request
};

// nullopt: a field that identifies run, repository or owner is missing; nothing can be learnt.
// bad_request: not one well-formed JSON object.
Result<std::optional<WorkflowRun>> parse_workflow_run(std::string_view body);

}  // namespace nimbus::control
