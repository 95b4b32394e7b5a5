#include "access/authenticator.h"

#include "base/encoding.h"
#include "base/hash.h"
#include "base/text.h"

namespace nimbus::access {
namespace {

// A person who mistypes never meets these; a program that guesses does at once.
constexpr BucketRate kFailuresPerPeer{1.0, 50.0};
// Addresses that keep failing share this many database look-ups for tokens nobody has seen yet, so
// that a good credential behind the same proxy still gets in.
constexpr BucketRate kLookupsOfFailing{20.0, 20.0};
constexpr BucketRate kMisusesAudited{1.0 / 60, 5.0};
constexpr size_t kAuthorizationBytesMax = size_t{12} << 10;

// What a request shows: a token, a cookie, or nothing.
struct Shown {
  std::string token;
  std::string cookie;
};

Result<std::string> basic_password(std::string_view encoded) {
  const auto decoded = parse_base64(encoded);
  const size_t colon = decoded ? decoded->find(':') : std::string::npos;
  if (colon == std::string::npos || colon + 1 == decoded->size()) {
    return fail(Code::unauthenticated, "the Basic credential is not valid",
                "use any user name and a token as the password");
  }
  return decoded->substr(colon + 1);
}

Result<Shown> read_credential(const net::Request& request, bool basic) {
  if (request.headers.count("Authorization") > 1) {
    return fail(Code::unauthenticated, "more than one Authorization header");
  }
  const auto header = request.headers.find("Authorization");
  if (!header) {
    const auto cookie = request.cookie(kSessionCookie);
    return Shown{{}, std::string(cookie.value_or(""))};
  }
  const size_t space = header->find(' ');
  const std::string_view scheme = header->substr(0, space);
  const std::string_view rest =
      space == std::string_view::npos ? std::string_view() : trim(header->substr(space));
  if (rest.empty() || rest.size() > kAuthorizationBytesMax) {
    return fail(Code::unauthenticated, "the Authorization header is not valid");
  }
  if (equal_ignoring_case(scheme, "Bearer")) return Shown{std::string(rest), {}};
  if (basic && equal_ignoring_case(scheme, "Basic")) return Shown{TRY(basic_password(rest)), {}};
  return fail(Code::unauthenticated, "this kind of credential is not accepted here",
              "send Authorization: Bearer TOKEN");
}

bool is_safe(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "OPTIONS";
}

CallerKind caller_kind(TokenKind kind) {
  switch (kind) {
    case TokenKind::operator_: return CallerKind::operator_;
    case TokenKind::ingest: return CallerKind::ingest;
    case TokenKind::agent: return CallerKind::agent;
    case TokenKind::enrolment: return CallerKind::enrolment;
  }
  return CallerKind::operator_;
}

}  // namespace

Caller make_caller(const Token& token, std::string hash) {
  Caller caller;
  caller.kind = caller_kind(token.kind);
  caller.role = token.role;
  caller.orgs = token.orgs;
  caller.repo = token.repo;
  caller.id = token.kind == TokenKind::agent ? token.agent.value : token.id;
  caller.name = token.name;
  caller.credential = std::move(hash);
  caller.agent = token.agent;
  return caller;
}

net::Response refusal(const Error& error) {
  net::Response response = net::problem(error);
  if (error.code == Code::unauthenticated) {
    response.headers.set("WWW-Authenticate", "Bearer realm=\"nimbus\"");
  }
  return response;
}

Authenticator::Authenticator(Parts parts)
    : parts_(parts),
      failures_(kFailuresPerPeer, parts.clock),
      misuses_(kMisusesAudited, parts.clock),
      lookups_(full_bucket(kLookupsOfFailing, parts.clock.now())) {}

// Counts a failed attempt: 401, or 429 once the address has used up its failures.
Error Authenticator::refuse(const net::Request& request, std::string message) {
  if (failures_.take(request.peer_address)) {
    return {Code::too_many_requests, "too many failed authentications from this address",
            "wait a moment, then use a valid token"};
  }
  return {Code::unauthenticated, std::move(message), {}};
}

Result<Caller> Authenticator::by_job_token(std::string_view token, const net::Request& request) {
  JobTokenFault fault = JobTokenFault::malformed;
  auto claims = parts_.job_tokens.verify(token, parts_.clock.now(), &fault);
  if (!claims) {
    // An ended lease is no attack.
    if (fault == JobTokenFault::expired) return fail(std::move(claims).error());
    return fail(refuse(request, std::move(claims).error().message));
  }
  Caller caller;
  caller.kind = CallerKind::job;
  caller.orgs = OrgScope::one(claims->org);
  caller.repo = claims->repo;
  caller.id = "job-" + to_string(claims->job);
  caller.job = std::move(*claims);
  return caller;
}

Task<Result<Caller>> Authenticator::by_token(std::string_view token, const net::Request& request) {
  // Only job tokens have dots.
  if (token.find('.') != std::string_view::npos) co_return by_job_token(token, request);
  if (failures_.exhausted(request.peer_address) && !parts_.tokens.knows(token)) {
    const BucketTake lookup = take(lookups_, kLookupsOfFailing, parts_.clock.now());
    lookups_ = lookup.bucket;
    if (!lookup.granted) co_return fail(refuse(request, ""));
  }
  CO_TRY_ASSIGN(const std::optional<Token> known, co_await parts_.tokens.find(token));
  if (!known) co_return fail(refuse(request, "the token is not valid"));
  co_return make_caller(*known, token_hash(token));
}

Task<Result<Caller>> Authenticator::by_cookie(std::string_view cookie,
                                              const net::Request& request) {
  CO_TRY_ASSIGN(const std::optional<Session> session, co_await parts_.sessions.find(cookie));
  if (!session) co_return fail(refuse(request, "the session has ended; sign in again"));
  const std::string_view shown = request.headers.find(kCsrfHeader).value_or("");
  if (!is_safe(request.method) && !equal_in_constant_time(shown, csrf_value(cookie))) {
    co_return fail(Code::forbidden, "the header X-Nimbus-Csrf is missing or wrong",
                   "read its value from GET /api/v1/session");
  }
  Caller caller = make_caller(session->token, session->hash);
  caller.kind = CallerKind::session;
  co_return caller;
}

Task<Result<Caller>> Authenticator::identify(const net::Request& request, bool basic) {
  CO_TRY_ASSIGN(const Shown shown, read_credential(request, basic));
  if (!shown.token.empty()) co_return co_await by_token(shown.token, request);
  if (!shown.cookie.empty()) co_return co_await by_cookie(shown.cookie, request);
  co_return fail(Code::unauthenticated, "a credential is missing",
                 "send Authorization: Bearer TOKEN");
}

void Authenticator::count(const Result<Caller>& outcome) {
  if (parts_.metrics == nullptr) return;
  const std::string_view kind = outcome ? to_string(outcome->kind) : "none";
  const std::string_view result = outcome ? "accepted" : to_string(outcome.error().code);
  Counter*& counter = counters_[{kind, result}];
  if (counter == nullptr) {
    counter = &parts_.metrics->counter(
        "nimbus_authentications_total", "Requests by credential and outcome.",
        {{"kind", std::string(kind)}, {"result", std::string(result)}});
  }
  counter->add();
}

// A valid credential where it has no business. Jobs' tokens are known to the audit log by their
// job.
Error Authenticator::wrong_door(const Caller& caller, const net::Request& request,
                                std::string_view wanted) {
  if (!misuses_.take(caller.id)) {
    parts_.tokens.audit_later({caller.id, "credential misused", std::string(to_string(caller.kind)),
                               caller.orgs.is_all() ? "" : caller.orgs.text(),
                               request.method + " " + request.path});
  }
  return {Code::forbidden, "this credential is not " + std::string(wanted), {}};
}

Task<Result<Caller>> Authenticator::authenticate_any(const net::Request& request, bool basic) {
  auto caller = co_await identify(request, basic);
  count(caller);
  co_return caller;
}

Task<Result<void>> Authenticator::check_lease(const Caller& caller) {
  if (!caller.job) co_return Result<void>();
  CO_TRY_ASSIGN(const bool ended,
                co_await parts_.ended_leases.contains(caller.job->job, caller.job->fence));
  if (ended) co_return fail(Code::unauthenticated, "the job's lease has ended");
  co_return Result<void>();
}

Task<Result<Caller>> Authenticator::authenticate(const net::Request& request, bool basic) {
  auto caller = co_await identify(request, basic);
  if (caller) {
    if (auto stands = co_await check_lease(*caller); !stands) {
      caller = fail(std::move(stands).error());
    }
  }
  count(caller);
  co_return caller;
}

Task<Result<Caller>> Authenticator::admit(std::string_view token, const net::Request& request) {
  auto caller = co_await by_token(token, request);
  count(caller);
  co_return caller;
}

Task<Result<Caller>> Authenticator::require_operator(const net::Request& request, Role least) {
  CO_TRY_ASSIGN(Caller caller, co_await authenticate(request));
  if (!caller.is_operator()) co_return fail(wrong_door(caller, request, "an operator's"));
  if (!caller.has_role(least)) {
    co_return fail(Code::forbidden,
                   "this needs the role " + std::string(to_string(least)) + " or higher");
  }
  co_return caller;
}

Task<Result<Caller>> Authenticator::require_installation(const net::Request& request, Role least) {
  CO_TRY_ASSIGN(Caller caller, co_await require_operator(request, least));
  if (!caller.orgs.is_all()) {
    co_return fail(Code::forbidden, "this belongs to the whole installation",
                   "use a token made for every org (--org '*')");
  }
  co_return caller;
}

Task<Result<Caller>> Authenticator::require_agent(const net::Request& request) {
  CO_TRY_ASSIGN(Caller caller, co_await authenticate(request));
  if (caller.kind != CallerKind::agent) co_return fail(wrong_door(caller, request, "an agent's"));
  co_return caller;
}

Task<Result<Caller>> Authenticator::require_agent(const net::Request& request,
                                                  std::string_view id) {
  CO_TRY_ASSIGN(Caller caller, co_await require_agent(request));
  if (caller.agent.value != id) {
    wrong_door(caller, request, "that agent's");
    co_return fail(Code::not_found, "no such agent");
  }
  co_return caller;
}

Task<Result<Caller>> Authenticator::require_job(const net::Request& request,
                                                std::string_view scope) {
  CO_TRY_ASSIGN(Caller caller, co_await authenticate_any(request, false));
  if (caller.kind != CallerKind::job) co_return fail(wrong_door(caller, request, "a job token"));
  if (!caller.job->has_scope(scope)) {
    co_return fail(Code::forbidden, "the job token lacks the scope " + std::string(scope));
  }
  const bool outlives_lease = scope == kScopeLogs || scope == kScopeTelemetry;
  if (!outlives_lease) {
    CO_TRY(co_await check_lease(caller));
  }
  co_return caller;
}

Task<Result<Caller>> Authenticator::require_ingest(const net::Request& request) {
  CO_TRY_ASSIGN(Caller caller, co_await authenticate_any(request, false));
  const bool sends = caller.kind == CallerKind::ingest ||
                     (caller.kind == CallerKind::job && caller.job->has_scope(kScopeTelemetry));
  if (!sends) co_return fail(wrong_door(caller, request, "a job token or an ingest token"));
  co_return caller;
}

Task<Result<Caller>> Authenticator::require_enrolment(const net::Request& request) {
  CO_TRY_ASSIGN(Caller caller, co_await authenticate(request));
  if (caller.kind != CallerKind::enrolment)
    co_return fail(wrong_door(caller, request, "an enrolment token"));
  co_return caller;
}

Task<Result<void>> Authenticator::confirm(const Caller& caller) {
  bool stands = false;
  if (caller.kind == CallerKind::job) {
    stands = caller.job && parts_.clock.now() < caller.job->expires_at + kJobTokenLeeway;
    if (stands) {
      CO_TRY(co_await check_lease(caller));
    }
  } else if (caller.kind == CallerKind::session) {
    CO_TRY_ASSIGN(const auto session, co_await parts_.sessions.find_by_hash(caller.credential));
    stands = session.has_value();
  } else {
    CO_TRY_ASSIGN(const auto token, co_await parts_.tokens.find_by_hash(caller.credential));
    stands = token.has_value();
  }
  if (!stands) co_return fail(Code::unauthenticated, "the credential has ended");
  co_return Result<void>();
}

}  // namespace nimbus::access
