// Authentication of HTTP requests, and the guards routes begin with:
//
//   const auto caller = co_await authenticator.require_operator(request, Role::viewer);
//   if (!caller) co_return access::refusal(caller.error());
//
// Credentials come from `Authorization: Bearer`, from the session cookie (writes then need the
// header X-Nimbus-Csrf), and where a route says so from Basic, whose password is a token. A request
// that shows a wrong credential is refused; it never falls back to a weaker one, and no header is
// believed about where the request came from.
//
// An address that keeps failing gets too_many_requests until it pauses; callers that are already
// known keep working. A valid credential at a door of another kind (an agent's at an operator's) is
// refused and audited: it may be stolen.
//
// Threads: the loop's.
#pragma once

#include <map>
#include <string_view>
#include <utility>

#include "access/caller.h"
#include "access/ended_leases.h"
#include "access/peer_limiter.h"
#include "access/session_book.h"
#include "access/token_book.h"
#include "base/metrics.h"
#include "net/http.h"

namespace nimbus::access {

constexpr std::string_view kSessionCookie = "nimbus_session";
constexpr std::string_view kCsrfHeader = "X-Nimbus-Csrf";

class Authenticator {
 public:
  struct Parts {
    TokenBook& tokens;
    SessionBook& sessions;
    const JobTokens& job_tokens;
    EndedLeases& ended_leases;
    const Clock& clock;
    Metrics* metrics = nullptr;  // nimbus_authentications_total{kind,result}
  };
  explicit Authenticator(Parts parts);

  // Any valid credential; a job's only while its lease lasts. unauthenticated: none, or not valid.
  // forbidden: a cookie-borne write
  // without its CSRF header. too_many_requests: too many failures from this address.
  Task<Result<Caller>> authenticate(const net::Request& request, bool basic = false);

  // The caller whose token stands in a request's body (sign-in); counted like any other attempt.
  Task<Result<Caller>> admit(std::string_view token, const net::Request& request);

  // An operator (token or session) with at least this role; forbidden otherwise. Which org it may
  // touch is the route's next question: Caller::require, OrgScope::narrow.
  Task<Result<Caller>> require_operator(const net::Request& request, Role least);
  // The same, and for every org: what belongs to the installation (agents, limits).
  Task<Result<Caller>> require_installation(const net::Request& request, Role least);
  // The agent `id` itself. not_found when the credential is another agent's.
  Task<Result<Caller>> require_agent(const net::Request& request, std::string_view id);
  Task<Result<Caller>> require_agent(const net::Request& request);  // any agent
  // A job token that carries `scope`. Its lease may be over when the scope is for what a job says
  // of itself (logs, telemetry): what waited in an agent's spool is still wanted.
  Task<Result<Caller>> require_job(const net::Request& request, std::string_view scope);
  // A job token with the telemetry scope, or an ingest token.
  Task<Result<Caller>> require_ingest(const net::Request& request);
  Task<Result<Caller>> require_enrolment(const net::Request& request);

  // Whether this execution of a job is over, however long its tokens last.
  Task<Result<bool>> has_ended(model::JobId job, model::Fence fence) {
    return parts_.ended_leases.contains(job, fence);
  }
  // Whether a caller admitted earlier still stands: long streams ask every second or so.
  Task<Result<void>> confirm(const Caller& caller);

 private:
  Task<Result<Caller>> identify(const net::Request& request, bool basic);
  // Whatever became of a job's lease.
  Task<Result<Caller>> authenticate_any(const net::Request& request, bool basic);
  Task<Result<void>> check_lease(const Caller& caller);
  Task<Result<Caller>> by_token(std::string_view token, const net::Request& request);
  Task<Result<Caller>> by_cookie(std::string_view cookie, const net::Request& request);
  Result<Caller> by_job_token(std::string_view token, const net::Request& request);
  Error refuse(const net::Request& request, std::string message);
  void count(const Result<Caller>& outcome);
  Error wrong_door(const Caller& caller, const net::Request& request, std::string_view wanted);

  Parts parts_;
  PeerLimiter failures_;
  PeerLimiter misuses_;  // rows in the audit log, per credential
  std::map<std::pair<std::string_view, std::string_view>, Counter*> counters_;
  Bucket lookups_;  // of unknown tokens from addresses that keep failing, all together
};

// A Caller of a valid token; `hash` is the token's.
Caller make_caller(const Token& token, std::string hash);

// The problem document of a refusal; 401 carries WWW-Authenticate.
net::Response refusal(const Error& error);

}  // namespace nimbus::access
