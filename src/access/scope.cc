#include "access/scope.h"

#include "base/text.h"

namespace nimbus::access {
namespace {

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}
bool is_name_character(char c) { return is_alphanumeric(c) || c == '-' || c == '_' || c == '.'; }

Result<void> check_name(std::string_view what, std::string_view name, size_t bytes_max) {
  const std::string subject(what);
  if (name.empty()) return fail(Code::bad_request, subject + " name is empty");
  if (name.size() > bytes_max) {
    return fail(Code::bad_request,
                subject + " name is longer than " + std::to_string(bytes_max) + " bytes");
  }
  for (const char c : name) {
    if (!is_name_character(c)) {
      return fail(Code::bad_request, subject + " name has a character that is not allowed",
                  "use letters, digits, '-', '_' and '.'");
    }
  }
  if (name == "." || name == "..") {
    return fail(Code::bad_request, subject + " name may not be '" + std::string(name) + "'");
  }
  return {};
}

}  // namespace

Result<void> check_org_name(std::string_view name) {
  TRY(check_name("org", name, kOrgNameBytesMax));
  if (!is_alphanumeric(name.front())) {
    return fail(Code::bad_request, "org name must start with a letter or a digit");
  }
  return {};
}

Result<void> check_repo_name(std::string_view name) {
  TRY(check_name("repo", name, kRepoNameBytesMax));
  if (name.front() == '-') return fail(Code::bad_request, "repo name may not start with '-'");
  return {};
}

OrgScope OrgScope::all() {
  OrgScope scope;
  scope.all_ = true;
  return scope;
}

OrgScope OrgScope::one(std::string org) {
  OrgScope scope;
  scope.org_ = std::move(org);
  return scope;
}

OrgScope OrgScope::parse(std::string_view text) {
  return text == "*" ? all() : one(std::string(text));
}

bool OrgScope::covers(std::string_view org) const {
  if (all_) return true;
  return !org_.empty() && equal_ignoring_case(org_, org);
}

std::optional<std::string> OrgScope::single() const {
  if (all_ || org_.empty()) return std::nullopt;
  return to_lower(org_);
}

Result<void> OrgScope::require(std::string_view org, std::string_view what) const {
  if (covers(org)) return {};
  return fail(Code::not_found, "no such " + std::string(what));
}

OrgScope OrgScope::narrow(std::optional<std::string_view> wanted) const {
  if (!wanted || wanted->empty()) return *this;
  return covers(*wanted) ? one(std::string(*wanted)) : OrgScope();
}

OrgScope::Filter OrgScope::filter(std::string_view column, int parameter_number) const {
  if (all_) return {"1 = 1", std::nullopt};
  if (org_.empty()) return {"1 = 0", std::nullopt};
  return {"lower(" + std::string(column) + ") = $" + std::to_string(parameter_number),
          to_lower(org_)};
}

}  // namespace nimbus::access
