#include "control/job.h"

#include "api/json_text.h"
#include "base/text.h"

namespace nimbus::control {
namespace {

using api::JsonText;

std::optional<std::string> text_or_null(const std::string& text) {
  if (text.empty()) return std::nullopt;
  return text;
}

std::string github_json(const GithubFacts& github) {
  return JsonText()
      .integer("job_id", github.job_id)
      .integer("run_id", github.run_id)
      .integer("run_attempt", github.run_attempt)
      .integer("installation_id", github.installation_id)
      .text("workflow_name", text_or_null(github.workflow_name))
      .text("job_name", text_or_null(github.job_name))
      .text("html_url", text_or_null(github.html_url))
      .finish();
}

std::string resources_json(const model::Resources& resources) {
  return JsonText()
      .integer("cpus", resources.cpus)
      .integer("memory_mb", resources.memory_mb)
      .integer("disk_mb", resources.disk_mb)
      .finish();
}

JsonText write_job(const Job& job, std::string_view hold) {
  const bool waits = job.state == model::JobState::queued && !job.held && !hold.empty();
  JsonText json;
  json.integer("id", job.id)
      .text("org", job.org)
      .text("repo", job.repo)
      .text("ref", job.ref)
      .text("sha", job.sha)
      .text("state", model::to_string(job.state))
      .text("reason", waits ? hold : std::string_view(job.reason))
      .text("profile", job.profile)
      .text("image", job.image)
      .raw("command", job.text.command)
      .raw("labels", job.text.labels)
      .raw("metadata", job.text.metadata)
      .raw("resources", resources_json(job.resources))
      .integer("timeout_s", job.timeout_s)
      .integer("fence", job.fence)
      .integer("tries", job.tries)
      .integer("tries_max", job.tries_max)
      .text("agent", job.agent)
      .integer("exit_code", job.exit_code)
      .boolean("cancel_requested", job.cancel_requested)
      .time("created_at", job.created_at)
      .time("leased_at", job.leased_at)
      .time("started_at", job.started_at)
      .time("finished_at", job.finished_at)
      .raw("log", JsonText().integer("last_seq", job.log_last_seq).finish())
      .integer("rerun_of", job.rerun_of);
  if (job.github) {
    json.raw("github", github_json(*job.github));
  } else {
    json.null("github");
  }
  return json;
}

}  // namespace

std::string label_term(std::string_view label) { return "l:" + to_lower(label); }

std::string metadata_term(std::string_view key, std::string_view value) {
  return "m:" + std::string(key) + "=" + std::string(value);
}

JobChange change_of(const JobHead& head, std::optional<model::JobState> from) {
  return {head.id,    head.org,       from,           head.state, head.held, head.cancel_requested,
          head.fence, head.resources, head.created_at};
}

std::string job_json(const Job& job, std::string_view hold) {
  return write_job(job, hold).finish();
}

std::string job_detail_json(const Job& job, std::string_view hold,
                            const std::vector<model::Transition>& transitions) {
  std::vector<std::string> lines;
  lines.reserve(transitions.size());
  for (const model::Transition& transition : transitions) {
    lines.push_back(JsonText()
                        .text("state", model::to_string(transition.to))
                        .integer("fence", transition.fence.value)
                        .time("at", transition.at)
                        .text("reason", transition.reason)
                        .finish());
  }
  return write_job(job, hold)
      .raw("env", job.text.env)
      .raw("transitions", api::json_array(lines))
      .finish();
}

}  // namespace nimbus::control
