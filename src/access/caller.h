// Who is calling: the outcome of authentication, and every question routes ask about it.
//
//   operator, session  a person or script with a token (session: by the dashboard's cookie)
//   agent              a host that runs microVMs, by its own credential
//   job                one execution of one job, by its job token
//   ingest             something outside that sends OTLP
//   enrolment          a host that wants to become an agent, once
//
// Threads: values.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "access/job_token.h"
#include "access/scope.h"
#include "model/ids.h"

namespace nimbus::access {

// What an operator's token allows, each more than the one before. (`operator` is a C++ keyword.)
enum class Role { viewer, operator_, admin };
std::string_view to_string(Role role);  // "viewer", "operator", "admin"
std::optional<Role> find_role(std::string_view name);

enum class CallerKind { operator_, session, agent, job, ingest, enrolment };
std::string_view to_string(CallerKind kind);

struct Caller {
  CallerKind kind = CallerKind::operator_;
  Role role = Role::viewer;  // operator and session only
  OrgScope orgs;             // what it may touch; nothing for agents and enrolments
  std::string repo;          // job and ingest: the one repository, "" for all of the org's
  std::string id;            // "tok-…", "agent-…" or "job-12": for logs and audit, not secret
  std::string name;          // of the token, for people
  std::string credential;    // SHA-256 of what was shown, hexadecimal; for Authenticator::confirm
  model::AgentId agent;      // agents
  std::optional<JobClaims> job;  // jobs

  bool is_operator() const { return kind == CallerKind::operator_ || kind == CallerKind::session; }
  bool has_role(Role least) const { return is_operator() && role >= least; }
  // Reading, changing and administering what belongs to `org`. False for agents and enrolments.
  bool may_see(std::string_view org) const { return orgs.covers(org); }
  bool may_write(std::string_view org) const { return has_role(Role::operator_) && may_see(org); }
  bool may_administer(std::string_view org) const { return has_role(Role::admin) && may_see(org); }

  // not_found "no such WHAT" when the org is another's; forbidden when it is the caller's own but
  // the role does not reach.
  Result<void> require(Role least, std::string_view org, std::string_view what) const;
};

}  // namespace nimbus::access
