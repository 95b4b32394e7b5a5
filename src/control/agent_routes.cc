#include "control/agent_routes.h"

#include <boost/json.hpp>

#include "base/encoding.h"
#include "base/json.h"
#include "net/page.h"

namespace nimbus::control {
namespace {

namespace json = boost::json;
using access::Role;

json::object to_json(const Agent& agent, const std::vector<int64_t>& jobs, Time now) {
  json::object object;
  object["id"] = agent.id.value;
  object["name"] = agent.name;
  object["state"] = to_string(agent.state(now));
  object["slots"] = agent.slots;
  object["slots_free"] = agent.slots_free;
  object["warm"] = agent.warm;
  object["version"] = agent.version;
  object["vmm"] = agent.vmm;
  object["accel"] = agent.accel;
  object["cgroup"] = agent.cgroup;
  object["enrolled_at"] = to_rfc3339(agent.enrolled_at);
  object["last_seen_at"] =
      agent.last_seen_at ? json::value(to_rfc3339(*agent.last_seen_at)) : json::value(nullptr);
  object["jobs"] = json::array(jobs.begin(), jobs.end());
  return object;
}

const std::vector<int64_t>& jobs_of(const AgentJobs& jobs, const Agent& agent) {
  static const std::vector<int64_t> kNone;
  const auto found = jobs.find(agent.id.value);
  return found == jobs.end() ? kNone : found->second;
}

// These are shown to people and stand in logs.
Result<std::optional<std::string>> find_plain_text(const json::object& object,
                                                   std::string_view field) {
  auto text = TRY(find_text(object, field));
  if (!text) return std::nullopt;
  if (text->size() > kAgentTextBytesMax) {
    return fail(Code::bad_request, "field '" + std::string(field) + "' is longer than " +
                                       std::to_string(kAgentTextBytesMax) + " bytes");
  }
  for (const char c : *text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      return fail(Code::bad_request,
                  "field '" + std::string(field) + "' may not have control characters");
    }
  }
  return text;
}

Result<std::optional<int>> find_count(const json::object& object, std::string_view field, int min) {
  const auto number = TRY(find_int(object, field, min, kAgentSlotsMax));
  if (!number) return std::nullopt;
  return static_cast<int>(*number);
}

Result<AgentInfo> parse_enrolment(std::string_view body) {
  const json::object object = TRY(parse_json_object(body));
  TRY(refuse_unknown_fields(
      object, {"name", "slots", "version", "vmm", "accel", "cgroup", "boot_id", "warm"}));
  AgentInfo info = TRY(parse_agent_info(object));
  if (!info.name || info.name->empty()) return fail(Code::bad_request, "field 'name' is missing");
  if (!info.slots) return fail(Code::bad_request, "field 'slots' is missing");
  return info;
}

}  // namespace

std::string agent_json(const Agent& agent, const std::vector<int64_t>& jobs, Time now) {
  return json::serialize(to_json(agent, jobs, now));
}

Result<AgentInfo> parse_agent_info(const json::object& object) {
  AgentInfo info;
  info.name = TRY(find_plain_text(object, "name"));
  info.slots = TRY(find_count(object, "slots", 1));
  info.slots_free = TRY(find_count(object, "slots_free", 0));
  info.warm = TRY(find_count(object, "warm", 0));
  info.version = TRY(find_plain_text(object, "version"));
  info.vmm = TRY(find_plain_text(object, "vmm"));
  info.accel = TRY(find_plain_text(object, "accel"));
  info.cgroup = TRY(find_plain_text(object, "cgroup"));
  info.boot_id = TRY(find_plain_text(object, "boot_id"));
  return info;
}

void AgentRoutes::add_to(net::Router& router) {
  router.post("/api/v1/agents/enrollments",
              [this](net::Request& request) { return invite(request); });
  router.post("/api/v1/agents", [this](net::Request& request) { return enroll(request); });
  router.get("/api/v1/agents", [this](net::Request& request) { return list(request); });
  router.get("/api/v1/agents/{id}", [this](net::Request& request) { return show(request); });
  router.del("/api/v1/agents/{id}", [this](net::Request& request) { return revoke(request); });
  router.post("/api/v1/agents/{id}/drain",
              [this](net::Request& request) { return drain(request, true); });
  router.post("/api/v1/agents/{id}/resume",
              [this](net::Request& request) { return drain(request, false); });
}

Task<net::Response> AgentRoutes::invite(net::Request& request) {
  const auto caller = co_await parts_.authenticator.require_installation(request, Role::operator_);
  if (!caller) co_return access::refusal(caller.error());
  access::TokenRequest wanted;
  wanted.kind = access::TokenKind::enrolment;
  wanted.name = "enrolment";
  wanted.expires_at = parts_.clock.now() + access::kEnrolmentTtl;
  const auto issued = co_await parts_.tokens.issue(std::move(wanted), caller->id);
  if (!issued) co_return net::problem(issued.error());
  json::object body;
  body["token"] = issued->text.reveal();
  body["expires_at"] = to_rfc3339(*issued->token.expires_at);
  net::Response response = net::Response::json(201, json::serialize(body));
  response.headers.set("Cache-Control", "no-store");
  co_return response;
}

Task<net::Response> AgentRoutes::enroll(net::Request& request) {
  const auto caller = co_await parts_.authenticator.require_enrolment(request);
  if (!caller) co_return access::refusal(caller.error());
  auto info = parse_enrolment(request.body);
  if (!info) co_return net::problem(info.error());
  const auto enrolled =
      co_await parts_.agents.enroll(caller->credential, std::move(*info), caller->id);
  if (!enrolled) co_return access::refusal(enrolled.error());
  json::object body;
  body["id"] = enrolled->agent.id.value;
  body["credential"] = enrolled->credential.reveal();
  net::Response response = net::Response::json(201, json::serialize(body));
  response.headers.set("Cache-Control", "no-store");
  co_return response;
}

Task<Result<AgentJobs>> AgentRoutes::jobs() {
  if (!parts_.jobs) co_return AgentJobs();
  co_return co_await parts_.jobs();
}

Task<net::Response> AgentRoutes::list(net::Request& request) {
  const auto caller = co_await parts_.authenticator.require_installation(request, Role::operator_);
  if (!caller) co_return access::refusal(caller.error());
  const auto page = net::read_page(request);
  if (!page) co_return net::problem(page.error());
  auto agents = co_await parts_.agents.list(request.find_query("state") == "revoked");
  if (!agents) co_return net::problem(agents.error());
  const auto held = co_await jobs();
  if (!held) co_return net::problem(held.error());
  // Hexadecimal sorts as the bytes do; a line end sorts before all that a name may have.
  const auto key = [](const Agent& agent) { return to_hex(agent.name + "\n" + agent.id.value); };
  if (!page->cursor.empty()) {
    std::erase_if(*agents, [&](const Agent& agent) { return key(agent) <= page->cursor; });
  }
  const auto show = [&held, now = parts_.clock.now()](const Agent& agent) {
    return agent_json(agent, jobs_of(*held, agent), now);
  };
  co_return net::page_of(std::move(*agents), page->limit, show, key);
}

Task<net::Response> AgentRoutes::show(net::Request& request) {
  const auto caller = co_await parts_.authenticator.require_installation(request, Role::operator_);
  if (!caller) co_return access::refusal(caller.error());
  const model::AgentId id{request.parameter("id")};
  const auto agent = co_await parts_.agents.find(id);
  if (!agent) co_return net::problem(agent.error());
  if (!*agent) co_return net::problem(404, "no such agent");
  const auto held = co_await jobs();
  if (!held) co_return net::problem(held.error());
  co_return net::Response::json(200,
                                agent_json(**agent, jobs_of(*held, **agent), parts_.clock.now()));
}

Task<net::Response> AgentRoutes::drain(net::Request& request, bool draining) {
  const auto caller = co_await parts_.authenticator.require_installation(request, Role::operator_);
  if (!caller) co_return access::refusal(caller.error());
  const model::AgentId id{request.parameter("id")};
  auto change =
      draining ? parts_.agents.drain(id, caller->id) : parts_.agents.resume(id, caller->id);
  const auto agent = co_await std::move(change);
  if (!agent) co_return net::problem(agent.error());
  const auto held = co_await jobs();
  if (!held) co_return net::problem(held.error());
  co_return net::Response::json(202,
                                agent_json(*agent, jobs_of(*held, *agent), parts_.clock.now()));
}

Task<net::Response> AgentRoutes::revoke(net::Request& request) {
  const auto caller = co_await parts_.authenticator.require_installation(request, Role::operator_);
  if (!caller) co_return access::refusal(caller.error());
  const model::AgentId id{request.parameter("id")};
  const auto agent = co_await parts_.agents.revoke(id, caller->id);
  if (!agent) co_return net::problem(agent.error());
  co_return net::Response::empty(204);
}

}  // namespace nimbus::control
