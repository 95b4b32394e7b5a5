// Which orgs a caller may touch, and the one place where that becomes a filter. A scope is nothing
// (the default: deny), one org, or every org (`*`). Org names compare without case.
//
// Another org's thing does not exist: `require` answers not_found with the words used for a thing
// that is absent, and `narrow` gives a list that is empty, so that nobody learns what others have.
//
// Threads: values.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace nimbus::access {

constexpr size_t kOrgNameBytesMax = 100;
constexpr size_t kRepoNameBytesMax = 100;

// The one check of names that later stand in paths, URLs and object keys: letters, digits, `-`, `_`
// and `.`, starting with a letter or digit (a repository also with `_` or `.`), never `.` or `..`.
// bad_request says which rule was broken.
Result<void> check_org_name(std::string_view name);
Result<void> check_repo_name(std::string_view name);

class OrgScope {
 public:
  // A condition for a WHERE clause and the value of its one parameter, when it has one.
  struct Filter {
    std::string sql;
    std::optional<std::string> parameter;
  };

  OrgScope() = default;  // nothing
  static OrgScope all();
  static OrgScope one(std::string org);
  // "*" or a name, as tokens store it.
  static OrgScope parse(std::string_view text);

  bool is_all() const { return all_; }
  bool is_nothing() const { return !all_ && org_.empty(); }
  bool covers(std::string_view org) const;
  // "*", the org's name, or "" for nothing.
  std::string text() const { return all_ ? "*" : org_; }
  // The one org in lower case, for queries outside SQL; nullopt for all and for
  // nothing.
  std::optional<std::string> single() const;

  // not_found "no such job" when `org` is outside the scope.
  Result<void> require(std::string_view org, std::string_view what) const;
  // This scope cut down to a filter the caller asked for; nothing when that is outside.
  OrgScope narrow(std::optional<std::string_view> wanted) const;
  // `lower(COLUMN) = $N` (wants an index on that expression), `1 = 1` or `1 = 0`.
  Filter filter(std::string_view column, int parameter_number) const;

 private:
  bool all_ = false;
  std::string org_;
};

}  // namespace nimbus::access
