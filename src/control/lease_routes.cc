#include "control/lease_routes.h"

#include <boost/json.hpp>
#include <charconv>

#include "api/json_text.h"
#include "base/json.h"
#include "base/log.h"

namespace nimbus::control {
namespace {

constexpr std::string_view kStaleFence = "stale-fence";
constexpr std::string_view kAgentRevoked = "agent-revoked";

std::optional<int64_t> find_number(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0) return std::nullopt;
  return number;
}

class LeaseRoutes {
 public:
  explicit LeaseRoutes(LeaseRoutesParts parts) : parts_(parts) {}

  Task<net::Response> assign(net::Request& request) {
    const auto caller =
        co_await parts_.authenticator.require_agent(request, request.parameter("id"));
    if (!caller) co_return co_await turn_away(request, caller.error());
    const auto poll = parse_poll(request.body);
    if (!poll) co_return net::problem(poll.error());
    const std::string id = caller->agent.value;
    const auto agent = co_await note(caller->agent, *poll);
    if (!agent) co_return net::problem(agent.error());
    Room room = poll->room;
    if (agent->draining) room.slots = 0;
    if (poll->names_running) {
      auto repeated = co_await parts_.leases.repeat(id, poll->running);
      if (!repeated) co_return net::problem(repeated.error());
      if (!repeated->empty()) co_return net::Response::json(200, assignments_json(*repeated));
    }
    co_return co_await grant(id, room, poll->wait);
  }

  Task<net::Response> renew(net::Request& request) {
    const auto caller = co_await parts_.authenticator.require_agent(request);
    if (!caller) co_return access::refusal(caller.error());
    const auto job = find_number(request.parameter("id"));
    if (!job) co_return net::problem(Error{Code::not_found, "no such job", {}});
    const auto body = parse_json_object(request.body);
    if (!body) co_return net::problem(body.error());
    const auto fence = read_int(*body, "fence", 1);
    if (!fence) co_return net::problem(fence.error());
    auto renewal = co_await parts_.leases.renew(*job, *fence, caller->agent.value);
    if (!renewal) co_return refusal(renewal.error());
    if (!renewal->cancel) co_await watch(request, *job, *fence, *renewal);
    co_return net::Response::json(200, api::JsonText()
                                           .time("expires_at", renewal->expires_at)
                                           .boolean("cancel", renewal->cancel)
                                           .text("job_token", renewal->job_token)
                                           .finish());
  }

  Task<net::Response> report(net::Request& request) {
    const auto caller = co_await parts_.authenticator.require_agent(request);
    if (!caller) co_return access::refusal(caller.error());
    const auto job = find_number(request.parameter("id"));
    if (!job) co_return net::problem(Error{Code::not_found, "no such job", {}});
    auto event = parse_job_event(request.body);
    if (!event) co_return net::problem(event.error());
    const int64_t fence = event->fence;
    const auto report = co_await parts_.leases.report(*job, caller->agent.value, std::move(*event));
    if (!report) co_return net::problem(report.error());
    if (report->outcome == ReportOutcome::stale) {
      co_return refusal(Error{Code::conflict,
                              "fence " + std::to_string(fence) + " is not the job's execution now",
                              "stop the execution"});
    }
    if (report->outcome == ReportOutcome::impossible) {
      co_return net::problem(
          422, "a job that is " + std::string(model::to_string(report->state)) + " cannot do that");
    }
    const int status = report->outcome == ReportOutcome::repeated ? 200 : 202;
    co_return net::Response::json(
        status, api::JsonText().text("state", model::to_string(report->state)).finish());
  }

 private:
  static net::Response refusal(const Error& error) {
    return net::problem(error, error.code == Code::conflict ? kStaleFence : std::string_view());
  }

  // An agent that was revoked must not enrol anew by itself, one that is not known may: it is told
  // which it is.
  Task<net::Response> turn_away(net::Request& request, Error error) {
    bool revoked = false;
    if (error.code == Code::unauthenticated) {
      const model::AgentId id{request.parameter("id")};
      const auto known = co_await parts_.agents.find(id);
      revoked = known && *known && (*known)->revoked_at;
    }
    net::Response response = access::refusal(error);
    if (!revoked) co_return response;
    error.message = "an operator has revoked this agent";
    net::Response told = net::problem(error, kAgentRevoked);
    told.headers.set("WWW-Authenticate", response.headers.find("WWW-Authenticate").value_or(""));
    co_return told;
  }

  // Notes the poll; an agent whose host has restarted has lost what it ran.
  Task<Result<Agent>> note(const model::AgentId& id, const PollRequest& poll) {
    if (poll.info.boot_id) {
      auto known = boot_ids_.find(id.value);
      if (known == boot_ids_.end()) {
        CO_TRY_ASSIGN(const auto before, co_await parts_.agents.find(id));
        const std::string boot_id = before ? before->boot_id : "";
        known = boot_ids_.emplace(id.value, boot_id).first;
      }
      const std::string before = std::exchange(known->second, *poll.info.boot_id);
      if (!before.empty() && before != *poll.info.boot_id) {
        CO_TRY(co_await parts_.leases.end_all(id.value,
                                              "the host of agent " + id.value + " restarted"));
      }
    }
    co_return co_await parts_.agents.seen(id, poll.info);
  }

  Task<net::Response> grant(const std::string& agent, Room room, Duration wait) {
    auto picks = co_await parts_.board.await_picks(agent, room, wait);
    if (picks.empty()) co_return net::Response::empty(204);
    const auto assignments = co_await parts_.leases.grant(agent, std::move(picks));
    if (!assignments) co_return net::problem(assignments.error());
    parts_.board.dispatch();
    if (assignments->empty()) co_return net::Response::empty(204);
    co_return net::Response::json(200, assignments_json(*assignments));
  }

  // Holds the answer back, up to `wait_s`, for as long as there is no cancel to tell.
  Task<void> watch(const net::Request& request, int64_t job, int64_t fence, Renewal& renewal) {
    const auto asked = request.find_query("wait_s");
    const int64_t seconds = asked ? find_number(*asked).value_or(0) : 0;
    const Duration wait =
        std::min<Duration>(std::chrono::seconds(std::min<int64_t>(seconds, kWatchSecondsMax)),
                           parts_.leases.ttl() / 3);
    if (wait <= Duration(0)) co_return;
    auto ready = std::make_shared<net::Notifier>(parts_.loop);
    const LeaseTable::Watch handle =
        parts_.board.leases().watch(job, [ready] { ready->notify_all(); });
    if (handle == nullptr) co_return;
    co_await ready->wait(wait);
    const LiveLease* lease = parts_.board.leases().find(job);
    // Over meanwhile: the execution must stop as well.
    renewal.cancel = lease == nullptr || lease->fence != fence || lease->cancel;
  }

  LeaseRoutesParts parts_;
  std::unordered_map<std::string, std::string> boot_ids_;
};

}  // namespace

void add_lease_routes(net::Router& router, LeaseRoutesParts parts) {
  auto routes = std::make_shared<LeaseRoutes>(parts);
  router.post("/api/v1/agents/{id}/assignments",
              [routes](net::Request& r) { return routes->assign(r); });
  router.put("/api/v1/jobs/{id}/lease", [routes](net::Request& r) { return routes->renew(r); });
  router.post("/api/v1/jobs/{id}/events", [routes](net::Request& r) { return routes->report(r); });
}

}  // namespace nimbus::control
