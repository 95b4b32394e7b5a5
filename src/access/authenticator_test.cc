#include "access/authenticator.h"

#include <algorithm>

#include "access/access_fixture.h"
#include "base/encoding.h"

using namespace nimbus;
using namespace nimbus::access;
using std::chrono::seconds;

namespace {

struct Door : AccessFixture {
  Code code_of(const Result<Caller>& caller) {
    REQUIRE_FALSE(caller.has_value());
    return caller.error().code;
  }
  Result<Caller> ask(const net::Request& request) {
    return run(authenticator.authenticate(request));
  }
  Result<Caller> ask(std::string_view bearer) { return ask(request("GET", "/", bearer)); }
  net::Request with_cookie(std::string method, const std::string& cookie, std::string_view csrf) {
    net::Request made = request(std::move(method), "/");
    made.headers.set("Cookie", "theme=dark; nimbus_session=" + cookie);
    if (!csrf.empty()) made.headers.set(kCsrfHeader, csrf);
    return made;
  }
  net::Request with_basic(std::string_view credential) {
    net::Request made = request("GET", "/");
    made.headers.set("Authorization", "Basic " + to_base64(credential));
    return made;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Door, "each credential makes its own kind of caller") {
  CHECK(ask(token(Role::viewer, "acme"))->kind == CallerKind::operator_);
  CHECK(ask(token_of(TokenKind::ingest, "acme"))->kind == CallerKind::ingest);
  CHECK(ask(token_of(TokenKind::enrolment))->kind == CallerKind::enrolment);
  const auto agent = ask(token_of(TokenKind::agent, "", "agent-1"));
  CHECK(agent->kind == CallerKind::agent);
  CHECK_EQ(agent->id, "agent-1");
  CHECK_FALSE(agent->may_see("acme"));
  const auto job = ask(job_tokens.sign(claims("acme")));
  CHECK(job->kind == CallerKind::job);
  CHECK_EQ(job->id, "job-12");
  CHECK(job->may_see("ACME"));
  CHECK_FALSE(job->may_see("globex"));
  CHECK_FALSE(job->may_write("acme"));
}

TEST_CASE_FIXTURE(Door, "a request without a valid credential is refused") {
  CHECK(code_of(ask("")) == Code::unauthenticated);
  CHECK(code_of(ask("nbt_wrong")) == Code::unauthenticated);
  CHECK(code_of(ask("a.b.c")) == Code::unauthenticated);
  net::Request odd = request("GET", "/");
  for (const auto* header : {"", "Bearer", "Bearer ", "bearer", "Digest x", "nbt_wrong", " "}) {
    odd.headers.set("Authorization", header);
    CHECK(code_of(ask(odd)) == Code::unauthenticated);
  }
}

TEST_CASE_FIXTURE(Door, "a wrong credential never falls back to a right one of another kind") {
  const std::string cookie =
      must(sessions.open(*must(tokens.find(token(Role::admin, "*"))))).reveal();
  net::Request both = with_cookie("GET", cookie, "");
  CHECK(ask(both)->kind == CallerKind::session);
  both.headers.set("Authorization", "Bearer nbt_wrong");
  CHECK(code_of(ask(both)) == Code::unauthenticated);
  net::Request twice = request("GET", "/", token(Role::admin, "*"));
  twice.headers.add("Authorization", "Bearer nbt_wrong");
  CHECK(code_of(ask(twice)) == Code::unauthenticated);
}

TEST_CASE_FIXTURE(Door, "headers about where a request came from are not believed") {
  net::Request made = request("GET", "/");
  made.headers.set("X-Forwarded-For", "127.0.0.1");
  made.headers.set("Forwarded", "for=127.0.0.1");
  CHECK(code_of(ask(made)) == Code::unauthenticated);
}

TEST_CASE_FIXTURE(Door, "Basic is taken where a route says so, with a token as the password") {
  const std::string text = token(Role::viewer, "acme");
  CHECK(run(authenticator.authenticate(with_basic("anyone:" + text), true)).has_value());
  CHECK(run(authenticator.authenticate(with_basic("x:" + job_tokens.sign(claims())), true))
            .has_value());
  CHECK(code_of(ask(with_basic("anyone:" + text))) == Code::unauthenticated);
  for (const std::string& wrong : {std::string("anyone:"), std::string("anyone"), std::string(":"),
                                   std::string(), "anyone:" + text + ":"}) {
    CHECK(code_of(run(authenticator.authenticate(with_basic(wrong), true))) ==
          Code::unauthenticated);
  }
}

TEST_CASE_FIXTURE(Door, "a session reads with its cookie and writes only with its CSRF value") {
  const Token lent = *must(tokens.find(token(Role::operator_, "acme")));
  const std::string cookie = must(sessions.open(lent)).reveal();
  const std::string other = must(sessions.open(lent)).reveal();
  CHECK(ask(with_cookie("GET", cookie, "")).has_value());
  CHECK(ask(with_cookie("HEAD", cookie, "")).has_value());
  CHECK(ask(with_cookie("POST", cookie, csrf_value(cookie))).has_value());
  for (const auto* method : {"POST", "PUT", "DELETE", "PATCH"}) {
    CHECK(code_of(ask(with_cookie(method, cookie, ""))) == Code::forbidden);
    CHECK(code_of(ask(with_cookie(method, cookie, csrf_value(other)))) == Code::forbidden);
  }
  CHECK(code_of(ask(with_cookie("GET", cookie + "x", ""))) == Code::unauthenticated);
}

TEST_CASE_FIXTURE(Door, "a role that is too low is told so") {
  const net::Request viewer = request("GET", "/", token(Role::viewer, "acme"));
  CHECK(run(authenticator.require_operator(viewer, Role::viewer)).has_value());
  CHECK(code_of(run(authenticator.require_operator(viewer, Role::operator_))) == Code::forbidden);
  CHECK(code_of(run(authenticator.require_operator(viewer, Role::admin))) == Code::forbidden);
  const net::Request admin = request("GET", "/", token(Role::admin, "acme"));
  CHECK(run(authenticator.require_operator(admin, Role::admin)).has_value());
  CHECK(code_of(run(authenticator.require_installation(admin, Role::viewer))) == Code::forbidden);
  const net::Request wide = request("GET", "/", token(Role::viewer, "*"));
  CHECK(run(authenticator.require_installation(wide, Role::viewer)).has_value());
}

TEST_CASE_FIXTURE(Door, "what is no operator's credential opens no operator's door, and no other") {
  const std::string agent = token_of(TokenKind::agent, "", "agent-1");
  const std::string ingest = token_of(TokenKind::ingest, "acme");
  const std::string enrolment = token_of(TokenKind::enrolment);
  const std::string job = job_tokens.sign(claims());
  const std::string admin = token(Role::admin, "*");
  for (const std::string& text : {agent, ingest, enrolment, job, admin}) {
    const net::Request made = request("GET", "/", text);
    CHECK_EQ(run(authenticator.require_operator(made, Role::viewer)).has_value(), text == admin);
    CHECK_EQ(run(authenticator.require_agent(made, "agent-1")).has_value(), text == agent);
    CHECK_EQ(run(authenticator.require_enrolment(made)).has_value(), text == enrolment);
    CHECK_EQ(run(authenticator.require_job(made, kScopeLogs)).has_value(), text == job);
    CHECK_EQ(run(authenticator.require_ingest(made)).has_value(), text == job || text == ingest);
  }
}

TEST_CASE_FIXTURE(Door, "an agent is itself alone") {
  const net::Request made = request("POST", "/", token_of(TokenKind::agent, "", "agent-1"));
  CHECK(run(authenticator.require_agent(made, "agent-1")).has_value());
  CHECK(code_of(run(authenticator.require_agent(made, "agent-2"))) == Code::not_found);
}

TEST_CASE_FIXTURE(Door,
                  "a credential at a door of another kind is audited, a bounded number of times") {
  const net::Request stolen =
      request("GET", "/api/v1/jobs", token_of(TokenKind::agent, "", "agent-1"));
  for (int i = 0; i < 100; ++i) run(authenticator.require_operator(stolen, Role::viewer));
  run(authenticator.require_agent(stolen, "agent-2"));
  settle();
  const auto rows = must(list_audit(*database, OrgScope::all(), "", 1000));
  const auto misuses = std::count_if(rows.begin(), rows.end(), [](const AuditRow& row) {
    return row.entry.what == "credential misused" && row.entry.who == "agent-1" &&
           row.entry.detail == "GET /api/v1/jobs";
  });
  CHECK_EQ(misuses, 5);
}

TEST_CASE_FIXTURE(Door, "a job token without the scope is refused") {
  JobClaims few = claims();
  few.scopes = {std::string(kScopeLogs)};
  const net::Request made = request("POST", "/", job_tokens.sign(few));
  CHECK(run(authenticator.require_job(made, kScopeLogs)).has_value());
  CHECK(code_of(run(authenticator.require_job(made, kScopeCache))) == Code::forbidden);
  CHECK(code_of(run(authenticator.require_ingest(made))) == Code::forbidden);
}

TEST_CASE_FIXTURE(Door, "guessing is stopped, and valid callers of the same address keep working") {
  const std::string known = token(Role::viewer, "acme");
  const std::string fresh = token(Role::viewer, "acme");
  CHECK(ask(known).has_value());
  int refusals = 0;
  while (code_of(ask("nbt_guess" + std::to_string(refusals))) == Code::unauthenticated) {
    REQUIRE_LT(++refusals, 1000);
  }
  CHECK(ask(known).has_value());
  CHECK(ask(job_tokens.sign(claims())).has_value());
  CHECK(ask(fresh).has_value());
  // Another address is not blamed, and a pause makes up for it.
  net::Request elsewhere = request("GET", "/", "nbt_wrong");
  elsewhere.peer_address = "192.0.2.2";
  CHECK(code_of(ask(elsewhere)) == Code::unauthenticated);
  clock.advance(seconds(5));
  CHECK(code_of(ask("nbt_wrong")) == Code::unauthenticated);
}

TEST_CASE_FIXTURE(Door, "look-ups for an address that keeps failing are bounded") {
  while (code_of(ask("nbt_wrong")) != Code::too_many_requests) {
  }
  // Without the table a look-up would fail with another code.
  REQUIRE(database
              ->write_now([](db::Transaction& tx) -> Result<void> {
                TRY(tx.run("ALTER TABLE access_tokens RENAME TO elsewhere"));
                return {};
              })
              .has_value());
  int lookups = 0;
  while (code_of(ask("nbt_more" + std::to_string(lookups))) != Code::too_many_requests) ++lookups;
  CHECK_LE(lookups, 20);
}

TEST_CASE_FIXTURE(Door, "ended job tokens do not count as guesses") {
  const std::string text = job_tokens.sign(claims());
  clock.advance(seconds(120));
  for (int i = 0; i < 100; ++i) CHECK(code_of(ask(text)) == Code::unauthenticated);
}

TEST_CASE_FIXTURE(Door, "a lease that ends before its token does ends the token within a second") {
  JobClaims made = claims();
  const std::string old = job_tokens.sign(made);
  made.fence = {made.fence.value + 1};
  const std::string next = job_tokens.sign(made);
  const Caller caller = *ask(old);
  const auto end = [&](model::Fence fence) {
    REQUIRE(database
                ->write_now([&](db::Transaction& tx) {
                  return end_lease_in(tx, {12}, fence, clock.now() + seconds(60), clock.now());
                })
                .has_value());
    clock.advance(seconds(1));
  };
  end({3});
  CHECK(code_of(ask(old)) == Code::unauthenticated);
  CHECK(code_of(run(authenticator.require_job(request("GET", "/", old), kScopeCache))) ==
        Code::unauthenticated);
  CHECK_FALSE(run(authenticator.confirm(caller)).has_value());
  CHECK(ask(next).has_value());
  end({4});
  CHECK(code_of(ask(next)) == Code::unauthenticated);
}

TEST_CASE_FIXTURE(Door, "what a job says of itself is taken after its lease ended") {
  const std::string text = job_tokens.sign(claims());
  REQUIRE(database
              ->write_now([&](db::Transaction& tx) {
                return end_lease_in(tx, {12}, {3}, clock.now() + seconds(60), clock.now());
              })
              .has_value());
  CHECK(run(authenticator.require_job(request("POST", "/", text), kScopeLogs)).has_value());
  CHECK(run(authenticator.require_ingest(request("POST", "/", text))).has_value());
}

TEST_CASE_FIXTURE(Door, "ended leases are forgotten with their tokens") {
  const auto rows = [&] {
    int64_t count = 0;
    REQUIRE(database
                ->write_now([&](db::Transaction& tx) -> Result<void> {
                  count = TRY(tx.find("SELECT count(*) FROM access_ended_leases"))->integer(0);
                  return {};
                })
                .has_value());
    return count;
  };
  for (const int64_t job : {1, 2}) {
    REQUIRE(database
                ->write_now([&](db::Transaction& tx) {
                  return end_lease_in(tx, {job}, {1}, clock.now() + seconds(job * 60), clock.now());
                })
                .has_value());
  }
  clock.advance(seconds(66));
  must(sweep_ended_leases(*database, clock.now()));
  CHECK_EQ(rows(), 1);
}

TEST_CASE_FIXTURE(Door, "a stream's caller is confirmed until its credential ends") {
  const std::string text = token(Role::viewer, "acme");
  const Caller caller = *ask(text);
  CHECK(run(authenticator.confirm(caller)).has_value());
  const Caller job = *ask(job_tokens.sign(claims()));
  CHECK(run(authenticator.confirm(job)).has_value());
  const std::string cookie = must(sessions.open(*must(tokens.find(text)))).reveal();
  const Caller session = *ask(with_cookie("GET", cookie, ""));
  CHECK(run(authenticator.confirm(session)).has_value());
  must(tokens.revoke(caller.id, OrgScope::all(), "test"));
  CHECK_FALSE(run(authenticator.confirm(caller)).has_value());
  CHECK_FALSE(run(authenticator.confirm(session)).has_value());
  clock.advance(seconds(120));
  CHECK_FALSE(run(authenticator.confirm(job)).has_value());
}

TEST_CASE("a refusal for want of a credential says which kind is wanted") {
  const net::Response response = refusal({Code::unauthenticated, "a credential is missing", ""});
  CHECK_EQ(response.status, 401);
  CHECK_EQ(response.headers.find("WWW-Authenticate").value_or(""), "Bearer realm=\"nimbus\"");
}
