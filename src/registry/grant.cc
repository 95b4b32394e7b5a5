#include "registry/grant.h"

#include <algorithm>
#include <boost/json.hpp>

#include "base/encoding.h"
#include "base/json.h"
#include "base/text.h"
#include "registry/names.h"

namespace nimbus::registry {
namespace {

namespace json = boost::json;
using access::CallerKind;

constexpr size_t kTokenBytesMax = 16 * 1024;

// What a stranger may have started changes nothing that others run.
bool is_trusted(const access::JobClaims& job) {
  return job.trust != access::Trust::fork && job.trust != access::Trust::unproven;
}

bool may_as_job(const access::JobClaims& job, Action action) {
  switch (action) {
    case Action::pull: return job.has_scope(access::kScopeRegistryPull);
    case Action::push: return job.has_scope(access::kScopeRegistryPush) && is_trusted(job);
    case Action::delete_: return false;
  }
  return false;
}

bool may_in_runner_org(const access::Caller& caller, Action action) {
  if (action != Action::pull) {
    return caller.has_role(access::Role::operator_) && caller.orgs.is_all();
  }
  if (caller.kind == CallerKind::job) return may_as_job(*caller.job, action);
  return caller.is_operator() || caller.kind == CallerKind::agent;
}

std::string actions_text(const Grant& grant) {
  std::string out;
  for (const Action action : {Action::pull, Action::push, Action::delete_}) {
    if (grant.has(action)) out += (out.empty() ? "" : ",") + std::string(to_string(action));
  }
  return out;
}

void add_actions(Grant& grant, std::string_view actions) {
  for (const std::string_view action : split(actions, ',')) {
    grant.pull = grant.pull || action == "pull" || action == "*";
    grant.push = grant.push || action == "push" || action == "*";
    grant.delete_ = grant.delete_ || action == "delete" || action == "*";
  }
}

std::optional<Grant> parse_scope(std::string_view scope) {
  constexpr std::string_view kKind = "repository:";
  if (!scope.starts_with(kKind)) return std::nullopt;
  scope.remove_prefix(kKind.size());
  const size_t colon = scope.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  Grant grant;
  grant.repository = scope.substr(0, colon);
  if (!check_repository(grant.repository)) return std::nullopt;
  add_actions(grant, scope.substr(colon + 1));
  return grant;
}

std::optional<CallerKind> find_kind(std::string_view name) {
  for (const CallerKind kind : {CallerKind::operator_, CallerKind::session, CallerKind::agent,
                                CallerKind::job, CallerKind::ingest, CallerKind::enrolment}) {
    if (access::to_string(kind) == name) return kind;
  }
  return std::nullopt;
}

Result<Visitor> read_payload(std::string_view text, Time now) {
  const json::object object = TRY(parse_json_object(text));
  const Time expires = from_us(TRY(read_int(object, "expires_us")));
  if (expires <= now) return fail(Code::unauthenticated, "the registry token has expired");
  Visitor visitor;
  access::Caller& caller = visitor.caller;
  const auto kind = find_kind(TRY(read_text(object, "kind")));
  if (!kind) return fail(Code::unauthenticated, "the registry token is not valid");
  caller.kind = *kind;
  caller.id = TRY(read_text(object, "id"));
  caller.credential = TRY(read_text(object, "credential"));
  caller.orgs = access::OrgScope::parse(TRY(read_text(object, "orgs")));
  if (*kind == CallerKind::job) {
    caller.job.emplace();
    caller.job->expires_at = expires;
    caller.job->job = {TRY(read_int(object, "job", 1))};
    caller.job->fence = {TRY(read_int(object, "fence", 1))};
  }
  visitor.granted = parse_scopes(TRY(find_texts(object, "scopes")));
  return visitor;
}

}  // namespace

std::string_view to_string(Action action) {
  switch (action) {
    case Action::pull: return "pull";
    case Action::push: return "push";
    case Action::delete_: return "delete";
  }
  return "";
}

bool Grant::has(Action action) const {
  return action == Action::pull ? pull : action == Action::push ? push : delete_;
}

bool may(const access::Caller& caller, Action action, std::string_view repository,
         std::string_view runner_org) {
  const std::string_view org = org_of(repository);
  if (!runner_org.empty() && equal_ignoring_case(org, runner_org)) {
    return may_in_runner_org(caller, action);
  }
  if (!caller.orgs.covers(org)) return false;
  if (caller.kind == CallerKind::job) return may_as_job(*caller.job, action);
  return caller.has_role(action == Action::pull ? access::Role::viewer : access::Role::operator_);
}

bool may(const Visitor& visitor, Action action, std::string_view repository,
         std::string_view runner_org) {
  if (!visitor.granted) return may(visitor.caller, action, repository, runner_org);
  return std::any_of(visitor.granted->begin(), visitor.granted->end(), [&](const Grant& grant) {
    return grant.repository == repository && grant.has(action);
  });
}

std::vector<Grant> parse_scopes(const std::vector<std::string>& scopes) {
  std::vector<Grant> out;
  for (const std::string& text : scopes) {
    for (const std::string_view scope : split(text, ' ')) {
      auto grant = parse_scope(scope);
      if (grant && out.size() < kTokenScopesMax) out.push_back(std::move(*grant));
    }
  }
  return out;
}

std::vector<Grant> intersect(const access::Caller& caller, const std::vector<Grant>& wanted,
                             std::string_view runner_org) {
  std::vector<Grant> out;
  for (Grant grant : wanted) {
    const auto allowed = [&](Action action) {
      return grant.has(action) && may(caller, action, grant.repository, runner_org);
    };
    const Grant cut{grant.repository, allowed(Action::pull), allowed(Action::push),
                    allowed(Action::delete_)};
    if (cut.pull || cut.push || cut.delete_) out.push_back(cut);
  }
  return out;
}

TokenMint::TokenMint(const Secret& job_token_key)
    : key_(hmac_sha256(job_token_key.reveal(), "nimbus registry tokens")) {}

TokenMint::Minted TokenMint::mint(const access::Caller& caller, const std::vector<Grant>& grants,
                                  Time now) const {
  Time expires = now + kTokenTtl;
  if (caller.job) expires = std::min(expires, caller.job->expires_at);
  json::array scopes;
  for (const Grant& grant : grants) {
    scopes.emplace_back("repository:" + grant.repository + ":" + actions_text(grant));
  }
  json::object payload{{"kind", access::to_string(caller.kind)}, {"id", caller.id},
                       {"credential", caller.credential},        {"orgs", caller.orgs.text()},
                       {"expires_us", to_us(expires)},           {"scopes", std::move(scopes)}};
  // So that the end of the lease ends the token as well.
  if (caller.job) {
    payload["job"] = caller.job->job.value;
    payload["fence"] = caller.job->fence.value;
  }
  const std::string body = to_base64url(json::serialize(payload));
  return {std::string(kTokenPrefix) + body + "." + to_base64url(key_.sign(body)), expires - now};
}

Result<Visitor> TokenMint::read(std::string_view text, Time now) const {
  const auto invalid = [] {
    return fail(Code::unauthenticated, "the registry token is not valid");
  };
  const size_t dot = text.find('.');
  if (!text.starts_with(kTokenPrefix) || dot == std::string_view::npos ||
      text.size() > kTokenBytesMax) {
    return invalid();
  }
  const std::string_view body = text.substr(kTokenPrefix.size(), dot - kTokenPrefix.size());
  const auto signature = parse_base64url(text.substr(dot + 1));
  if (!signature || !equal_in_constant_time(*signature, key_.sign(body))) return invalid();
  const auto payload = parse_base64url(body);
  if (!payload) return invalid();
  return read_payload(*payload, now);
}

}  // namespace nimbus::registry
