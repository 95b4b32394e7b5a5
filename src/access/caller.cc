#include "access/caller.h"

namespace nimbus::access {

std::string_view to_string(Role role) {
  switch (role) {
    case Role::viewer: return "viewer";
    case Role::operator_: return "operator";
    case Role::admin: return "admin";
  }
  return "viewer";
}

std::optional<Role> find_role(std::string_view name) {
  for (const Role role : {Role::viewer, Role::operator_, Role::admin}) {
    if (to_string(role) == name) return role;
  }
  return std::nullopt;
}

std::string_view to_string(CallerKind kind) {
  switch (kind) {
    case CallerKind::operator_: return "operator";
    case CallerKind::session: return "session";
    case CallerKind::agent: return "agent";
    case CallerKind::job: return "job";
    case CallerKind::ingest: return "ingest";
    case CallerKind::enrolment: return "enrolment";
  }
  return "operator";
}

Result<void> Caller::require(Role least, std::string_view org, std::string_view what) const {
  TRY(orgs.require(org, what));
  if (has_role(least)) return {};
  return fail(Code::forbidden,
              "this needs the role " + std::string(to_string(least)) + " or higher");
}

}  // namespace nimbus::access
