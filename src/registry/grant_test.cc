#include "registry/grant.h"

#include <doctest/doctest.h>

using namespace nimbus;
using namespace nimbus::registry;
using access::Caller;
using access::CallerKind;
using access::OrgScope;
using access::Role;

namespace {

constexpr std::string_view kRunnerOrg = "nimbus";
const Time kNow = from_us(1'700'000'000'000'000);

Caller operator_of(std::string_view orgs, Role role = Role::operator_) {
  Caller caller;
  caller.role = role;
  caller.orgs = OrgScope::parse(orgs);
  caller.credential = "hash";
  return caller;
}

Caller job_of(std::string org) {
  Caller caller;
  caller.kind = CallerKind::job;
  caller.orgs = OrgScope::one(org);
  caller.job = access::make_job_claims({.org = org,
                                        .repo = "app",
                                        .ref = "refs/heads/main",
                                        .base_ref = "",
                                        .default_ref = "",
                                        .job = {1},
                                        .fence = {1},
                                        .now = kNow,
                                        .expires_at = kNow + std::chrono::seconds(60)});
  return caller;
}

bool can(const Caller& caller, Action action, std::string_view repository) {
  return may(caller, action, repository, kRunnerOrg);
}

}  // namespace

TEST_CASE("a role decides what an operator may do in its org") {
  CHECK(can(operator_of("acme", Role::viewer), Action::pull, "acme/app"));
  CHECK(!can(operator_of("acme", Role::viewer), Action::push, "acme/app"));
  CHECK(can(operator_of("Acme"), Action::push, "acme/app"));
  CHECK(can(operator_of("acme"), Action::delete_, "acme/app"));
  CHECK(can(operator_of("*"), Action::push, "other/app"));
  CHECK(!can(operator_of("acme"), Action::pull, "other/app"));
  CHECK(!can(operator_of("acme"), Action::pull, "acmex/app"));
}

TEST_CASE("a job pulls and pushes in its own org, a stranger's only pulls, none deletes") {
  CHECK(can(job_of("acme"), Action::pull, "acme/app"));
  CHECK(can(job_of("acme"), Action::push, "acme/app"));
  CHECK(!can(job_of("acme"), Action::delete_, "acme/app"));
  CHECK(!can(job_of("acme"), Action::pull, "other/app"));
  for (const access::Trust trust : {access::Trust::fork, access::Trust::unproven}) {
    Caller stranger = job_of("acme");
    stranger.job->trust = trust;
    CHECK(can(stranger, Action::pull, "acme/app"));
    CHECK(!can(stranger, Action::push, "acme/app"));
  }
  Caller reader = job_of("acme");
  reader.job->scopes = {std::string(access::kScopeRegistryPull)};
  CHECK(can(reader, Action::pull, "acme/app"));
  CHECK(!can(reader, Action::push, "acme/app"));
}

TEST_CASE("runner images are everybody's to pull and only the installation's to change") {
  CHECK(can(job_of("acme"), Action::pull, "nimbus/base"));
  CHECK(!can(job_of("nimbus"), Action::push, "nimbus/base"));
  CHECK(!can(operator_of("nimbus", Role::admin), Action::push, "nimbus/base"));
  CHECK(can(operator_of("*"), Action::push, "nimbus/base"));
  Caller agent;
  agent.kind = CallerKind::agent;
  CHECK(can(agent, Action::pull, "nimbus/base"));
  CHECK(!can(agent, Action::pull, "acme/app"));
}

TEST_CASE("what is asked for and not allowed is left out of a token") {
  const auto wanted =
      parse_scopes({"repository:acme/app:pull,push repository:other/app:pull", "registry:catalog:*",
                    "repository:acme/web:*", "nonsense", "repository:BAD:pull"});
  REQUIRE_EQ(wanted.size(), 3);
  const auto granted = intersect(operator_of("acme", Role::viewer), wanted, kRunnerOrg);
  REQUIRE_EQ(granted.size(), 2);
  CHECK_EQ(granted[0].repository, "acme/app");
  CHECK(granted[0].pull);
  CHECK(!granted[0].push);
  CHECK(!granted[1].delete_);
}

TEST_CASE("a token carries its grants and nothing else") {
  const TokenMint mint{Secret("0123456789abcdef0123456789abcdef")};
  const auto minted = mint.mint(operator_of("acme"), {{"acme/app", true, false, false}}, kNow);
  const auto visitor = mint.read(minted.text, kNow);
  REQUIRE(visitor);
  CHECK(may(*visitor, Action::pull, "acme/app", kRunnerOrg));
  CHECK(!may(*visitor, Action::push, "acme/app", kRunnerOrg));
  CHECK(!may(*visitor, Action::pull, "acme/web", kRunnerOrg));
  CHECK_EQ(visitor->caller.credential, "hash");
}

TEST_CASE("a token ends after five minutes, and with its job's lease") {
  const TokenMint mint{Secret("0123456789abcdef0123456789abcdef")};
  const auto minted = mint.mint(operator_of("acme"), {}, kNow);
  CHECK(mint.read(minted.text, kNow + kTokenTtl - std::chrono::seconds(1)).has_value());
  CHECK(!mint.read(minted.text, kNow + kTokenTtl).has_value());
  const auto of_job = mint.mint(job_of("acme"), {}, kNow);
  CHECK(of_job.lives == std::chrono::seconds(60));
  CHECK(!mint.read(of_job.text, kNow + std::chrono::seconds(60)).has_value());
  const auto visitor = mint.read(of_job.text, kNow);
  REQUIRE(visitor);
  CHECK_EQ(visitor->caller.job->job.value, 1);
  CHECK_EQ(visitor->caller.job->fence.value, 1);
}

TEST_CASE("a token that was changed or made elsewhere is refused") {
  const TokenMint mint{Secret("0123456789abcdef0123456789abcdef")};
  const TokenMint other{Secret("another-key-another-key-another-")};
  std::string text = mint.mint(operator_of("acme"), {{"acme/app", true, false, false}}, kNow).text;
  CHECK(!other.read(text, kNow).has_value());
  text[10] = text[10] == 'A' ? 'B' : 'A';
  CHECK(!mint.read(text, kNow).has_value());
  for (const char* bad : {"", "nbr_", "nbr_.", "nbr_a.b", "eyJ.a.b"}) {
    CHECK(!mint.read(bad, kNow).has_value());
  }
}
