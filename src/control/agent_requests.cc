// The bodies that agents send and get, see lease_routes.h.
#include <array>
#include <boost/json.hpp>

#include "api/json_text.h"
#include "base/encoding.h"
#include "base/json.h"
#include "control/agent_routes.h"
#include "control/lease_routes.h"

namespace nimbus::control {
namespace {

namespace json = boost::json;

constexpr int64_t kFenceMax = int64_t{1} << 53;
constexpr int64_t kExitCodeMax = 255;
constexpr int64_t kAgeMsMax = int64_t{366} * 24 * 3600 * 1000;  // of a report that waited
constexpr size_t kReasonBytesMax = 1024;
constexpr size_t kRunningMax = 4096;

Result<void> read_running(const json::object& body, PollRequest& poll) {
  const json::array* running = TRY(find_array(body, "running"));
  if (running == nullptr) return {};
  if (running->size() > kRunningMax) return fail(Code::bad_request, "field 'running' is too long");
  poll.names_running = true;
  for (const json::value& item : *running) {
    if (!item.is_object()) {
      return fail(Code::bad_request, "field 'running' must be an array of {job, fence}");
    }
    poll.running.push_back(
        TRY_IN("field 'running'", read_int(item.get_object(), "job", 1, kFenceMax)));
  }
  return {};
}

std::string spec_json(const Job& job) {
  api::JsonText attributes;
  if (job.github) {
    attributes.text("github.run_id", std::to_string(job.github->run_id))
        .text("github.run_attempt", std::to_string(job.github->run_attempt))
        .text("github.workflow", job.github->workflow_name)
        .text("github.job", job.github->job_name);
  }
  return api::JsonText()
      .text("org", job.org)
      .text("repo", job.repo)
      .text("ref", job.ref)
      .text("sha", job.sha)
      .text("image", job.image)
      .raw("command", job.text.command)
      .raw("env", job.text.env)
      .raw("resources", api::JsonText()
                            .integer("cpus", job.resources.cpus)
                            .integer("memory_mb", job.resources.memory_mb)
                            .integer("disk_mb", job.resources.disk_mb)
                            .finish())
      .integer("timeout_s", job.timeout_s)
      .raw("attributes", attributes.finish())
      .finish();
}

// What people read must be text.
std::string plain_reason(std::string text) {
  if (text.size() > kReasonBytesMax) text.resize(kReasonBytesMax);
  return to_utf8_lossy(text);
}

// A field that has no meaning for its event tells of an agent that means something else.
Result<void> refuse_foreign_fields(const json::object& body, EventType type,
                                   const std::string& name) {
  constexpr std::array<std::pair<std::string_view, EventType>, 4> kOwners = {
      {{"result", EventType::finished},
       {"exit_code", EventType::finished},
       {"keeps_try", EventType::abandoned},
       {"lacks_image", EventType::abandoned}}};
  for (const auto& [field, owner] : kOwners) {
    const json::value* given = body.if_contains(field);
    if (given == nullptr || given->is_null() || type == owner) continue;
    return fail(Code::bad_request,
                "field '" + std::string(field) + "' is not for type '" + name + "'");
  }
  return {};
}

Result<void> read_end(const json::object& body, JobEvent& event) {
  const std::string result = TRY(read_text(body, "result"));
  const auto found = model::find_job_result(result);
  if (!found) {
    return fail(Code::bad_request, "field 'result' is no result: '" + result.substr(0, 64) + "'",
                "one of succeeded, failed, timed_out, cancelled");
  }
  event.result = *found;
  event.exit_code = TRY(find_int(body, "exit_code", 0, kExitCodeMax));
  return model::check_result(event.result, event.exit_code);
}

}  // namespace

Result<PollRequest> parse_poll(std::string_view text) {
  const json::object body = TRY(parse_json_object(text));
  PollRequest poll;
  poll.room.slots = static_cast<int>(TRY(read_int(body, "slots_free", 0, kSlotsAskedMax)));
  const int64_t wait = TRY(read_int(body, "wait_s", 0, 3600));
  poll.wait = std::chrono::seconds(std::min<int64_t>(wait, kPollSecondsMax));
  poll.room.cpus = TRY(find_int(body, "cpus_free", 0, kFenceMax));
  poll.room.memory_mb = TRY(find_int(body, "memory_mb_free", 0, kFenceMax));
  poll.room.disk_mb = TRY(find_int(body, "disk_mb_free", 0, kFenceMax));
  poll.info = TRY(parse_agent_info(body));
  TRY(read_running(body, poll));
  return poll;
}

Result<JobEvent> parse_job_event(std::string_view text) {
  const json::object body = TRY(parse_json_object(text));
  JobEvent event;
  event.fence = TRY(read_int(body, "fence", 1, kFenceMax));
  event.seq = TRY(read_int(body, "seq", 1, kFenceMax));
  const std::string type = TRY(read_text(body, "type"));
  const auto known = find_event_type(type);
  if (!known) {
    return fail(Code::bad_request, "field 'type' is no event: '" + type.substr(0, 64) + "'",
                "one of booting, started, finished, abandoned");
  }
  event.type = *known;
  TRY(refuse_foreign_fields(body, event.type, type));
  if (event.type == EventType::finished) TRY(read_end(body, event));
  event.reason = plain_reason(TRY(find_text(body, "reason")).value_or(""));
  event.keeps_try = TRY(find_bool(body, "keeps_try")).value_or(false);
  event.lacks_image = TRY(find_bool(body, "lacks_image")).value_or(false);
  event.log_last_seq = TRY(find_int(body, "log_last_seq", 0, kFenceMax));
  event.age = std::chrono::milliseconds(TRY(find_int(body, "age_ms", 0, kAgeMsMax)).value_or(0));
  return event;
}

std::string assignments_json(const std::vector<Assignment>& assignments) {
  std::vector<std::string> items;
  items.reserve(assignments.size());
  for (const Assignment& assignment : assignments) {
    items.push_back(api::JsonText()
                        .integer("job", assignment.job.id)
                        .integer("fence", assignment.job.fence)
                        .time("expires_at", assignment.expires_at)
                        .text("job_token", assignment.job_token)
                        .raw("spec", spec_json(assignment.job))
                        .finish());
  }
  return api::JsonText().raw("assignments", api::json_array(items)).finish();
}

}  // namespace nimbus::control
