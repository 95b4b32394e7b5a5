// Agents over HTTP: enrolment (POST /api/v1/agents/enrollments, POST /api/v1/agents) and what
// operators do with them (GET list and one, POST drain and resume, DELETE). Agents belong to the
// installation, so operators need a token of every org.
//
// Threads: the loop's. Lives as long as the server whose router holds its handlers.
// Not here: assignments (their own routes).
#pragma once

#include <boost/json/fwd.hpp>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "access/authenticator.h"
#include "control/agent_store.h"
#include "net/router.h"

namespace nimbus::control {

constexpr size_t kAgentTextBytesMax = 100;  // name, version, …

// The jobs each agent holds, by the agent's id.
using AgentJobs = std::map<std::string, std::vector<int64_t>>;

// The agent object of the API and its events.
std::string agent_json(const Agent& agent, const std::vector<int64_t>& jobs, Time now);

// Reads the fields that enrolment and polls share out of a body's object; other fields are left to
// the caller. bad_request: a text too long or with control characters, a count out of range.
Result<AgentInfo> parse_agent_info(const boost::json::object& object);

class AgentRoutes {
 public:
  struct Parts {
    access::Authenticator& authenticator;
    access::TokenBook& tokens;
    AgentStore& agents;
    const Clock& clock;
    std::function<Task<Result<AgentJobs>>()> jobs;  // empty: none are shown
  };
  explicit AgentRoutes(Parts parts) : parts_(std::move(parts)) {}

  void add_to(net::Router& router);

 private:
  Task<net::Response> invite(net::Request& request);
  Task<net::Response> enroll(net::Request& request);
  Task<net::Response> list(net::Request& request);
  Task<net::Response> show(net::Request& request);
  Task<net::Response> drain(net::Request& request, bool draining);
  Task<net::Response> revoke(net::Request& request);
  Task<Result<AgentJobs>> jobs();

  Parts parts_;
};

}  // namespace nimbus::control
