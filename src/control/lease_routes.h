// What agents call: ask for jobs, renew a lease, report. Threads: the loop's.
#pragma once

#include <unordered_map>

#include "access/authenticator.h"
#include "control/agent_store.h"
#include "control/board.h"
#include "control/lease_book.h"
#include "net/router.h"

namespace nimbus::control {

constexpr int kPollSecondsMax = 60;   // assignments?wait_s
constexpr int kWatchSecondsMax = 30;  // lease?wait_s
constexpr int kSlotsAskedMax = 1024;

struct LeaseRoutesParts {
  access::Authenticator& authenticator;
  AgentStore& agents;
  Board& board;
  LeaseBook& leases;
  net::Loop& loop;
};

void add_lease_routes(net::Router& router, LeaseRoutesParts parts);

// The body of POST /api/v1/agents/{id}/assignments.
struct PollRequest {
  Room room;
  Duration wait{0};
  AgentInfo info;
  bool names_running = false;  // `running` was given
  std::vector<int64_t> running;
};
Result<PollRequest> parse_poll(std::string_view body);

// The body of POST /api/v1/jobs/{id}/events.
Result<JobEvent> parse_job_event(std::string_view body);

std::string assignments_json(const std::vector<Assignment>& assignments);

}  // namespace nimbus::control
