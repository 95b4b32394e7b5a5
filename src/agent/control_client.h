// The server's API as the agent uses it: enrolment, assignments, leases, events, lines. Answers are
// taken as outside input: bounded, checked, named in errors.
//
// Errors: unavailable is worth another try (no answer, 429, 5xx); conflict is a stale fence;
// unauthenticated a credential that is no longer good; bad_request what will never be accepted.
//
// Threads: the loop's.
#pragma once

#include <boost/json/fwd.hpp>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/journal.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"
#include "model/job.h"
#include "net/client.h"

namespace nimbus::agent {

struct Credential {
  model::AgentId id;
  Secret secret;
};

// A lease, as far as this side needs it. `left` is by the clock of the server that gave it, so that
// no two machines' wall clocks are compared; from then on this machine's steady clock counts.
struct Lease {
  Time expires_at;   // as the server says it
  Duration left{0};  // when the answer came
  Secret job_token;
  bool cancel = false;
};

struct Assignment {
  ExecutionKey key;
  Lease lease;
  model::JobSpec spec;
  std::string json;  // {"job","fence","spec"}: what the journal keeps
};
// Reads what `Assignment::json` holds.
Result<Assignment> parse_journaled_assignment(std::string_view json);

struct AgentFacts {
  std::string name;
  int slots = 0;
  int warm = 0;
  std::string version;
  std::string vmm;
  std::string accel;
  std::string cgroup;
  std::string boot_id;
};

struct PollRequest {
  int slots_free = 0;
  Duration wait{0};
  std::vector<ExecutionKey> running;
};

class ControlClient {
 public:
  ControlClient(net::Client& client, std::string server, const Clock& clock);

  Task<Result<Credential>> enroll(Secret token, AgentFacts facts);
  Task<Result<std::vector<Assignment>>> poll(Credential agent, PollRequest request,
                                             AgentFacts facts);
  // Answers early when the job is to be cancelled.
  Task<Result<Lease>> renew(Credential agent, ExecutionKey key, Duration wait);
  Task<Result<void>> send_event(Credential agent, model::JobId job, std::string body);
  // The seq up to which lines are durable.
  Task<Result<int64_t>> send_lines(model::JobId job, Secret token, std::string ndjson);
  // A guest's request with the job token; any status is a success.
  Task<Result<net::ClientResponse>> forward(net::ClientRequest request, std::string target,
                                            Secret token);
  // The same, body and answer as they come (net::Client::stream_to).
  Task<Result<void>> forward_stream(net::ClientRequest request, std::string target, Secret token,
                                    std::function<void(const net::ClientResponse&)> on_head,
                                    std::function<Task<bool>(std::string_view)> on_bytes);

 private:
  Task<Result<net::ClientResponse>> send(std::string_view method, std::string path, Secret bearer,
                                         std::string body, Duration timeout);
  Duration left_until(Time expires_at, const net::ClientResponse& answer) const;
  Result<Lease> parse_lease(const boost::json::object& object,
                            const net::ClientResponse& answer) const;

  net::Client& client_;
  std::string server_;
  const Clock& clock_;
};

}  // namespace nimbus::agent
