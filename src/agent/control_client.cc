#include "agent/control_client.h"

#include <algorithm>
#include <boost/json.hpp>
#include <ctime>

#include "base/json.h"

namespace nimbus::agent {
namespace {

namespace json = boost::json;

constexpr size_t kAnswerBytesMax = size_t{8} << 20;
constexpr Duration kAnswerTime = std::chrono::seconds(15);  // on top of a long poll's wait
constexpr int64_t kTimeoutSecondsMax = 432'000;             // five days, GitHub's longest job
constexpr int64_t kIdMax = int64_t{1} << 53;
constexpr Duration kLeaseMin = std::chrono::seconds(1);
constexpr Duration kLeaseMax = std::chrono::hours(1);

// The problem document's own words, or the status.
std::string describe(const net::ClientResponse& answer) {
  const auto body = parse_json_object(answer.body);
  if (body) {
    const auto detail = find_text(*body, "detail");
    if (detail && *detail) return **detail;
  }
  return "HTTP status " + std::to_string(answer.status);
}

// Refused for good: an operator's word, where any other 401 is a credential nobody knows.
bool is_revocation(const net::ClientResponse& answer) {
  const auto body = parse_json_object(answer.body);
  return answer.status == 401 && body && read_text(*body, "code").value_or("") == "agent-revoked";
}

Code code_of(int status) {
  switch (status) {
    case 401: return Code::unauthenticated;
    case 403: return Code::forbidden;
    case 404: return Code::not_found;
    case 409: return Code::conflict;
    case 413: return Code::too_large;
    case 408:
    case 429: return Code::unavailable;
    default: return status >= 500 ? Code::unavailable : Code::bad_request;
  }
}

Result<model::JobSpec> parse_spec(const json::object& object) {
  model::JobSpec spec;
  spec.org = TRY(read_text(object, "org"));
  spec.repo = TRY(read_text(object, "repo"));
  spec.ref = TRY(find_text(object, "ref")).value_or("");
  spec.sha = TRY(find_text(object, "sha")).value_or("");
  spec.image = TRY(read_text(object, "image"));
  spec.command = TRY(find_texts(object, "command"));
  spec.env = TRY(find_text_map(object, "env"));
  spec.timeout_s = static_cast<int>(TRY(read_int(object, "timeout_s", 1, kTimeoutSecondsMax)));
  if (const json::object* resources = TRY(find_object(object, "resources")); resources != nullptr) {
    spec.resources.cpus = static_cast<int>(TRY(read_int(*resources, "cpus", 1, 1024)));
    spec.resources.memory_mb =
        static_cast<int>(TRY(read_int(*resources, "memory_mb", 64, 1 << 24)));
    spec.resources.disk_mb = static_cast<int>(TRY(read_int(*resources, "disk_mb", 16, 1 << 26)));
  }
  if (spec.command.empty()) return fail(Code::bad_request, "field 'command' must not be empty");
  return spec;
}

Result<Assignment> parse_assignment(const json::object& object) {
  Assignment assignment;
  assignment.key.job.value = TRY(read_int(object, "job", 1, kIdMax));
  assignment.key.fence.value = TRY(read_int(object, "fence", 1, kIdMax));
  const json::object* spec = TRY(find_object(object, "spec"));
  if (spec == nullptr) return fail(Code::bad_request, "field 'spec' is missing");
  assignment.spec = TRY(parse_spec(*spec));
  assignment.json = json::serialize(json::object{
      {"job", assignment.key.job.value}, {"fence", assignment.key.fence.value}, {"spec", *spec}});
  return assignment;
}

void add_facts(json::object& body, const AgentFacts& facts) {
  body["slots"] = facts.slots;
  body["version"] = facts.version;
  body["vmm"] = facts.vmm;
  body["accel"] = facts.accel;
  body["cgroup"] = facts.cgroup;
}

int whole_seconds(Duration time) {
  return static_cast<int>(std::chrono::duration_cast<std::chrono::seconds>(time).count());
}

}  // namespace

Result<Assignment> parse_journaled_assignment(std::string_view text) {
  return parse_assignment(TRY(parse_json_object(text)));
}

ControlClient::ControlClient(net::Client& client, std::string server, const Clock& clock)
    : client_(client), server_(std::move(server)), clock_(clock) {
  while (server_.ends_with('/')) server_.pop_back();
}

Task<Result<net::ClientResponse>> ControlClient::send(std::string_view method, std::string path,
                                                      Secret bearer, std::string body,
                                                      Duration timeout) {
  net::ClientRequest request;
  request.method = method;
  request.url = server_ + path;
  request.headers.set("Authorization", "Bearer " + bearer.reveal());
  request.headers.set("Content-Type", "application/json");
  request.body = std::move(body);
  request.timeout = timeout;
  request.answer_bytes_max = kAnswerBytesMax;
  CO_TRY_ASSIGN(auto answer, co_await client_.send(std::move(request)));
  if (is_revocation(answer)) co_return fail(Code::forbidden, describe(answer));
  if (answer.status >= 300) co_return fail(code_of(answer.status), describe(answer));
  co_return answer;
}

// How long a lease still lasts, by the clock of the server that gave it.
Duration ControlClient::left_until(Time expires_at, const net::ClientResponse& answer) const {
  Time now = clock_.now();
  if (const auto date = answer.headers.find("Date")) {
    std::tm parts{};
    const std::string text(*date);
    if (::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts) != nullptr) {
      const Time at = from_us(int64_t{::timegm(&parts)} * 1'000'000);
      // It has whole seconds only: where the clocks agree, ours is the better one.
      const Duration apart = now > at ? now - at : at - now;
      if (apart > std::chrono::seconds(2)) now = at;
    }
  }
  return std::clamp<Duration>(expires_at - now, kLeaseMin, kLeaseMax);
}

Result<Lease> ControlClient::parse_lease(const json::object& object,
                                         const net::ClientResponse& answer) const {
  Lease lease;
  lease.expires_at = TRY(parse_rfc3339(TRY(read_text(object, "expires_at"))));
  lease.left = left_until(lease.expires_at, answer);
  lease.job_token = Secret(TRY(read_text(object, "job_token")));
  lease.cancel = TRY(find_bool(object, "cancel")).value_or(false);
  return lease;
}

Task<Result<Credential>> ControlClient::enroll(Secret token, AgentFacts facts) {
  json::object body;
  body["name"] = facts.name;
  add_facts(body, facts);
  std::string path = "/api/v1/agents";
  std::string text = json::serialize(body);
  CO_TRY_ASSIGN(const auto answer, co_await send("POST", std::move(path), std::move(token),
                                                 std::move(text), kAnswerTime));
  CO_TRY_ASSIGN(const auto object, parse_json_object(answer.body));
  CO_TRY_ASSIGN(auto id, read_text(object, "id"));
  CO_TRY_ASSIGN(auto secret, read_text(object, "credential"));
  co_return Credential{{std::move(id)}, Secret(std::move(secret))};
}

Task<Result<std::vector<Assignment>>> ControlClient::poll(Credential agent, PollRequest request,
                                                          AgentFacts facts) {
  json::object body;
  body["slots_free"] = request.slots_free;
  body["wait_s"] = whole_seconds(request.wait);
  add_facts(body, facts);
  body["warm"] = facts.warm;
  body["boot_id"] = facts.boot_id;
  json::array running;
  for (const ExecutionKey& key : request.running) {
    running.push_back(json::object{{"job", key.job.value}, {"fence", key.fence.value}});
  }
  body["running"] = std::move(running);
  std::string path = "/api/v1/agents/" + agent.id.value + "/assignments";
  std::string text = json::serialize(body);
  CO_TRY_ASSIGN(const auto answer, co_await send("POST", std::move(path), agent.secret,
                                                 std::move(text), request.wait + kAnswerTime));
  std::vector<Assignment> assignments;
  if (answer.status == 204) co_return assignments;
  CO_TRY_ASSIGN(const auto object, parse_json_object(answer.body));
  CO_TRY_ASSIGN(const json::array* items, find_array(object, "assignments"));
  if (items == nullptr) co_return assignments;
  for (const json::value& item : *items) {
    if (!item.is_object()) co_return fail(Code::bad_request, "assignment is not an object");
    CO_TRY_ASSIGN(Assignment assignment, parse_assignment(item.get_object()));
    CO_TRY_ASSIGN(assignment.lease, parse_lease(item.get_object(), answer));
    assignments.push_back(std::move(assignment));
  }
  co_return assignments;
}

Task<Result<Lease>> ControlClient::renew(Credential agent, ExecutionKey key, Duration wait) {
  std::string path = "/api/v1/jobs/" + std::to_string(key.job.value) +
                     "/lease?wait_s=" + std::to_string(whole_seconds(wait));
  std::string body = json::serialize(json::object{{"fence", key.fence.value}});
  CO_TRY_ASSIGN(const auto answer, co_await send("PUT", std::move(path), agent.secret,
                                                 std::move(body), wait + kAnswerTime));
  CO_TRY_ASSIGN(const auto object, parse_json_object(answer.body));
  co_return parse_lease(object, answer);
}

Task<Result<void>> ControlClient::send_event(Credential agent, model::JobId job, std::string body) {
  std::string path = "/api/v1/jobs/" + std::to_string(job.value) + "/events";
  CO_TRY(co_await send("POST", std::move(path), agent.secret, std::move(body), kAnswerTime));
  co_return Result<void>{};
}

Task<Result<int64_t>> ControlClient::send_lines(model::JobId job, Secret token,
                                                std::string ndjson) {
  net::ClientRequest request;
  request.method = "POST";
  request.headers.set("Content-Type", "application/x-ndjson");
  request.body = std::move(ndjson);
  request.timeout = kAnswerTime;
  std::string target = "/api/v1/jobs/" + std::to_string(job.value) + "/logs";
  CO_TRY_ASSIGN(const auto answer,
                co_await forward(std::move(request), std::move(target), std::move(token)));
  if (answer.status != 200) co_return fail(code_of(answer.status), describe(answer));
  CO_TRY_ASSIGN(const auto object, parse_json_object(answer.body));
  co_return read_int(object, "acked", 0);
}

Task<Result<net::ClientResponse>> ControlClient::forward(net::ClientRequest request,
                                                         std::string target, Secret token) {
  request.url = server_ + target;
  request.headers.set("Authorization", "Bearer " + token.reveal());
  co_return co_await client_.send(std::move(request));
}

Task<Result<void>> ControlClient::forward_stream(
    net::ClientRequest request, std::string target, Secret token,
    std::function<void(const net::ClientResponse&)> on_head,
    std::function<Task<bool>(std::string_view)> on_bytes) {
  request.url = server_ + target;
  request.headers.set("Authorization", "Bearer " + token.reveal());
  co_return co_await client_.stream_to(std::move(request), std::move(on_head), std::move(on_bytes));
}

}  // namespace nimbus::agent
