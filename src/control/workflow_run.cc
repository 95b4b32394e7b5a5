#include "control/workflow_run.h"

#include "control/json_document.h"

namespace nimbus::control {
namespace {

using Element = simdjson::simdjson_result<simdjson::dom::element>;

constexpr size_t kTextBytesMax = 1024;

std::string text_of(const Element& element) {
  std::string_view text;
  if (element.get_string().get(text) != simdjson::SUCCESS || text.size() > kTextBytesMax) return "";
  return std::string(text);
}

std::optional<int64_t> id_of(const Element& element) {
  int64_t id = 0;
  if (element.get_int64().get(id) != simdjson::SUCCESS || id < 1) return std::nullopt;
  return id;
}

void read_pull_request(const simdjson::dom::object& root, WorkflowRun& run) {
  simdjson::dom::array pulls;
  if (root["workflow_run"]["pull_requests"].get_array().get(pulls) != simdjson::SUCCESS) return;
  // With several pull requests of one branch nobody can say which one this run is of.
  if (pulls.size() != 1) return;
  const auto pull = pulls.at(0);
  run.pull_request = id_of(pull["number"]);
  run.base_branch = text_of(pull["base"]["ref"]);
}

}  // namespace

Result<std::optional<WorkflowRun>> parse_workflow_run(std::string_view body) {
  Document document;
  const simdjson::dom::object root = TRY(document.parse(body));
  WorkflowRun run;
  const auto run_id = id_of(root["workflow_run"]["id"]);
  const auto repository = id_of(root["repository"]["id"]);
  const auto owner = id_of(root["repository"]["owner"]["id"]);
  run.owner = text_of(root["repository"]["owner"]["login"]);
  run.repo = text_of(root["repository"]["name"]);
  if (!run_id || !repository || !owner || run.owner.empty() || run.repo.empty()) {
    return std::nullopt;
  }
  run.run_id = *run_id;
  run.repository_id = *repository;
  run.owner_id = *owner;
  run.event = text_of(root["workflow_run"]["event"]);
  run.head_branch = text_of(root["workflow_run"]["head_branch"]);
  run.head_repository_id = id_of(root["workflow_run"]["head_repository"]["id"]);
  read_pull_request(root, run);
  return run;
}

}  // namespace nimbus::control
