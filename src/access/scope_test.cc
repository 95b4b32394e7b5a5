#include "access/scope.h"

#include <doctest/doctest.h>

#include "access/caller.h"

using namespace nimbus;
using namespace nimbus::access;

TEST_CASE("a scope covers its own org whatever the case, and no other") {
  const OrgScope scope = OrgScope::one("Acme");
  CHECK(scope.covers("acme"));
  CHECK(scope.covers("ACME"));
  CHECK_FALSE(scope.covers("acme2"));
  CHECK_FALSE(scope.covers(""));
}

TEST_CASE("a scope is nothing until it is made something") {
  const OrgScope nothing;
  CHECK(nothing.is_nothing());
  CHECK_FALSE(nothing.covers("acme"));
  CHECK_FALSE(nothing.covers(""));
  CHECK_EQ(nothing.filter("org", 1).sql, "1 = 0");
  CHECK(OrgScope::parse("").is_nothing());
}

TEST_CASE("another org's thing is absent, not forbidden") {
  const auto refused = OrgScope::one("acme").require("globex", "job");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == Code::not_found);
  CHECK_EQ(refused.error().message, "no such job");
  CHECK(OrgScope::one("acme").require("acme", "job").has_value());
  CHECK(OrgScope::all().require("globex", "job").has_value());
}

TEST_CASE("a filter that asks for another org finds nothing") {
  CHECK(OrgScope::one("acme").narrow("globex").is_nothing());
  CHECK_EQ(OrgScope::one("acme").narrow("ACME").single(), "acme");
  CHECK_EQ(OrgScope::one("acme").narrow(std::nullopt).single(), "acme");
  CHECK_EQ(OrgScope::all().narrow("Globex").single(), "globex");
  CHECK(OrgScope::all().narrow(std::nullopt).is_all());
}

TEST_CASE("the filter carries the org as a parameter, never as text") {
  const auto filter = OrgScope::one("a' OR 1=1 --").filter("t.org", 3);
  CHECK_EQ(filter.sql, "lower(t.org) = $3");
  CHECK_EQ(filter.parameter, "a' or 1=1 --");
  CHECK_EQ(OrgScope::all().filter("org", 1).sql, "1 = 1");
  CHECK_FALSE(OrgScope::all().filter("org", 1).parameter.has_value());
}

TEST_CASE("names that could leave a folder or a URL are refused") {
  for (const auto* name : {"acme", "Acme-2", "a.b_c"}) CHECK(check_org_name(name).has_value());
  for (const auto* name : {"app", ".github", "_x", "a.b"}) CHECK(check_repo_name(name).has_value());
  for (const auto* name :
       {"", ".", "..", "a/b", "a\\b", "a%2fb", "a b", "a\n", "\xef\xbc\x8e", "-a", "*"}) {
    CHECK_FALSE(check_org_name(name).has_value());
    CHECK_FALSE(check_repo_name(name).has_value());
  }
  CHECK_FALSE(check_org_name(std::string("a\0b", 3)).has_value());
  CHECK_FALSE(check_org_name(std::string(300, 'a')).has_value());
  CHECK_FALSE(check_org_name("_acme").has_value());
}

TEST_CASE("a role allows what lower ones do, and an agent has none") {
  Caller caller;
  caller.orgs = OrgScope::one("acme");
  caller.role = Role::operator_;
  CHECK(caller.may_see("acme"));
  CHECK(caller.may_write("acme"));
  CHECK_FALSE(caller.may_administer("acme"));
  CHECK_FALSE(caller.may_write("globex"));
  CHECK(caller.require(Role::admin, "acme", "job").error().code == Code::forbidden);
  CHECK(caller.require(Role::admin, "globex", "job").error().code == Code::not_found);
  caller.kind = CallerKind::agent;
  caller.role = Role::admin;
  CHECK_FALSE(caller.has_role(Role::viewer));
}
