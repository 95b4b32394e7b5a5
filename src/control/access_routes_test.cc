// Tokens, orgs and agents over HTTP: each answer in pairs, allowed and refused.
#include <boost/json.hpp>

#include "access/access_fixture.h"
#include "access/audit.h"
#include "api/openapi.h"
#include "base/json.h"
#include "control/agent_routes.h"
#include "control/migrations.h"
#include "control/org_routes.h"
#include "control/token_routes.h"

using namespace nimbus;
using namespace nimbus::access;
using namespace nimbus::control;
using std::chrono::seconds;

namespace {

struct Routes : AccessFixture {
  OrgStore orgs{*database, clock, {}};
  AgentStore agents{*database, tokens, clock, random};
  AgentJobs held;
  TokenRoutes token_routes{{authenticator, tokens, *database, clock}};
  OrgRoutes org_routes{authenticator, orgs};
  AgentRoutes agent_routes{{authenticator, tokens, agents, clock,
                            [this]() -> Task<Result<AgentJobs>> { co_return held; }}};
  net::Router router;
  std::string admin = token(Role::admin, "*");
  std::string acme_admin = token(Role::admin, "acme");

  Routes() {
    migrate(org_migrations());
    migrate(agent_migrations());
    migrate(control_migrations());
    token_routes.add_to(router);
    org_routes.add_to(router);
    agent_routes.add_to(router);
  }

  int status(std::string method, std::string path, const std::string& bearer,
             std::string body = "") {
    return serve(router, std::move(method), std::move(path), bearer, std::move(body)).status;
  }
  boost::json::object answer(std::string method, std::string path, const std::string& bearer,
                             std::string body = "") {
    const auto response =
        serve(router, std::move(method), std::move(path), bearer, std::move(body));
    INFO(response.body);
    REQUIRE_LT(response.status, 300);
    return *parse_json_object(response.body);
  }
  boost::json::object problem(std::string method, std::string path, const std::string& bearer,
                              std::string body = "") {
    return *parse_json_object(
        serve(router, std::move(method), std::move(path), bearer, std::move(body)).body);
  }
  size_t items(std::string path, const std::string& bearer) {
    return answer("GET", std::move(path), bearer).at("items").as_array().size();
  }
  void see(const std::string& org) {
    REQUIRE(database
                ->write_now([&](db::Transaction& tx) -> Result<void> {
                  TRY(orgs.see_in(tx, org, clock.now()));
                  return {};
                })
                .has_value());
  }
  // A new agent; its id and credential.
  std::pair<std::string, std::string> enroll(const std::string& name = "host-1") {
    const auto invited = answer("POST", "/api/v1/agents/enrollments", admin);
    const auto made = answer("POST", "/api/v1/agents", std::string(invited.at("token").as_string()),
                             enrolment(name));
    return {std::string(made.at("id").as_string()), std::string(made.at("credential").as_string())};
  }
  static std::string enrolment(const std::string& name) {
    return "{\"name\":\"" + name +
           "\",\"slots\":2,\"version\":\"0.1.0\",\"vmm\":\"qemu\",\"accel\":\"tcg\",\"cgroup\":"
           "\"v2\"}";
  }
};

std::string new_token(const std::string& role, const std::string& org,
                      const std::string& more = "") {
  return "{\"name\":\"ci\",\"role\":\"" + role + "\",\"org\":\"" + org + "\"" + more + "}";
}

}  // namespace

TEST_CASE_FIXTURE(Routes,
                  "every route refuses callers without a credential, and those without the role") {
  const std::string viewer = token(Role::viewer, "*");
  const std::string agent = token_of(TokenKind::agent, "", "agent-1");
  const std::string job = job_tokens.sign(claims());
  for (const auto& [method, pattern] : router.routes()) {
    CAPTURE(method);
    CAPTURE(pattern);
    std::string path(pattern);
    for (const auto* name : {"{id}", "{org}"}) {
      if (const size_t at = path.find(name); at != std::string::npos) {
        path.replace(at, std::string_view(name).size(), "acme");
      }
    }
    CHECK_EQ(status(std::string(method), path, ""), 401);
    CHECK_EQ(status(std::string(method), path, "nbt_wrong"), 401);
    for (const std::string& text : {viewer, agent, job}) {
      CHECK_EQ(status(std::string(method), path, text), 403);
    }
  }
}

TEST_CASE_FIXTURE(Routes, "every route and what it answers is described") {
  CHECK(api::undocumented_routes(router.routes()) == std::vector<std::string>());
  see("acme");
  enroll();
  const auto faults = [&](std::string_view schema, std::string path) {
    return api::schema_faults(schema, answer("GET", std::move(path), admin));
  };
  const std::vector<std::string> none;
  CHECK(faults("TokenList", "/api/v1/tokens") == none);
  CHECK(faults("OrgList", "/api/v1/orgs") == none);
  CHECK(faults("Org", "/api/v1/orgs/acme") == none);
  CHECK(faults("AgentList", "/api/v1/agents") == none);
  CHECK(faults("AuditList", "/api/v1/audit") == none);
  const std::string body = new_token("ingest", "acme", ",\"repo\":\"app\"");
  CHECK(api::schema_faults("TokenCreated", answer("POST", "/api/v1/tokens", admin, body)) == none);
  CHECK(api::schema_faults("Enrollment", answer("POST", "/api/v1/agents/enrollments", admin)) ==
        none);
}

TEST_CASE_FIXTURE(Routes,
                  "a token is made, works, is listed without its text, and ends when revoked") {
  const auto made =
      answer("POST", "/api/v1/tokens", admin, new_token("viewer", "acme", ",\"expires_in_s\":60"));
  const std::string text(made.at("token").as_string());
  CHECK(text.starts_with("nbt_"));
  CHECK(must(tokens.find(text)).has_value());
  const auto listed = serve(router, "GET", "/api/v1/tokens", admin);
  CHECK_EQ(listed.body.find(text), std::string::npos);
  CHECK_NE(listed.body.find(made.at("id").as_string().c_str()), std::string::npos);
  CHECK_EQ(status("DELETE", "/api/v1/tokens/" + std::string(made.at("id").as_string()), admin),
           204);
  CHECK_FALSE(must(tokens.find(text)).has_value());
  CHECK_EQ(status("DELETE", "/api/v1/tokens/tok-none", admin), 404);
}

TEST_CASE_FIXTURE(Routes, "an org's admin makes, sees and revokes its own org's tokens alone") {
  CHECK_EQ(status("POST", "/api/v1/tokens", acme_admin, new_token("admin", "ACME")), 201);
  CHECK_EQ(status("POST", "/api/v1/tokens", acme_admin, new_token("viewer", "globex")), 404);
  CHECK_EQ(status("POST", "/api/v1/tokens", acme_admin, new_token("viewer", "*")), 404);
  const auto foreign = answer("POST", "/api/v1/tokens", admin, new_token("viewer", "globex"));
  const std::string path = "/api/v1/tokens/" + std::string(foreign.at("id").as_string());
  CHECK_EQ(status("DELETE", path, acme_admin), 404);
  CHECK_EQ(items("/api/v1/tokens", acme_admin), 2);
  CHECK_EQ(items("/api/v1/tokens?org=globex", acme_admin), 0);
  CHECK_EQ(items("/api/v1/tokens?org=globex", admin), 1);
  CHECK_EQ(status("DELETE", path, admin), 204);
}

TEST_CASE_FIXTURE(Routes, "an absent token and another org's are refused in the same words") {
  const auto foreign = answer("POST", "/api/v1/tokens", admin, new_token("viewer", "globex"));
  const std::string path = "/api/v1/tokens/" + std::string(foreign.at("id").as_string());
  CHECK(problem("DELETE", path, acme_admin) ==
        problem("DELETE", "/api/v1/tokens/tok-none", acme_admin));
}

TEST_CASE_FIXTURE(Routes, "a token request that is wrong says what is right") {
  for (const std::string& body :
       {std::string(), std::string("[]"), new_token("root", "acme"), new_token("viewer", "../x"),
        new_token("ingest", "*"), new_token("viewer", "acme", ",\"repo\":\"app\""),
        new_token("viewer", "acme", ",\"expires_in_s\":0"),
        new_token("viewer", "acme", ",\"expires_in_s\":99999999999"),
        std::string("{\"name\":\"\",\"role\":\"viewer\",\"org\":\"acme\"}"),
        std::string("{\"name\":\"a\\nb\",\"role\":\"viewer\",\"org\":\"acme\"}")}) {
    CHECK_EQ(status("POST", "/api/v1/tokens", admin, body), 400);
  }
  const auto unknown =
      problem("POST", "/api/v1/tokens", admin, new_token("viewer", "acme", ",\"expires_in\":60"));
  CHECK_EQ(unknown.at("hint").as_string(), "did you mean 'expires_in_s'?");
}

TEST_CASE_FIXTURE(Routes, "an ingest token carries its org and repository") {
  const auto made = answer("POST", "/api/v1/tokens", acme_admin,
                           new_token("ingest", "acme", ",\"repo\":\"app\""));
  CHECK_EQ(made.at("role").as_string(), "ingest");
  const auto caller = run(authenticator.require_ingest(
      request("POST", "/v1/logs", std::string(made.at("token").as_string()))));
  REQUIRE(caller.has_value());
  CHECK_EQ(caller->repo, "app");
  CHECK(caller->may_see("acme"));
}

TEST_CASE_FIXTURE(Routes,
                  "an org follows the defaults until an admin of the installation says else") {
  see("Acme");
  const auto before = answer("GET", "/api/v1/orgs/acme", acme_admin);
  CHECK_EQ(before.at("org").as_string(), "Acme");
  CHECK_EQ(before.at("concurrent_jobs").as_int64(), 20);
  CHECK_EQ(before.at("egress").as_string(), "default");
  std::string changed;
  orgs.on_change([&](std::string org) { changed = std::move(org); });
  const auto after =
      answer("PUT", "/api/v1/orgs/ACME", admin, "{\"concurrent_jobs\":3,\"egress\":\"open\"}");
  CHECK_EQ(after.at("org").as_string(), "Acme");
  CHECK_EQ(after.at("concurrent_jobs").as_int64(), 3);
  CHECK_EQ(after.at("jobs_per_minute").as_int64(), 120);
  CHECK_EQ(after.at("egress").as_string(), "open");
  CHECK_EQ(changed, "Acme");
  // What GET shows may be sent back; null puts a setting back to the default.
  CHECK_EQ(status("PUT", "/api/v1/orgs/acme", admin, boost::json::serialize(after)), 200);
  CHECK_EQ(answer("PUT", "/api/v1/orgs/acme", admin, "{\"concurrent_jobs\":null}")
               .at("concurrent_jobs")
               .as_int64(),
           20);
}

TEST_CASE_FIXTURE(Routes, "an org's admin cannot lift its own limits nor see another's") {
  see("acme");
  see("globex");
  const auto refused = problem("PUT", "/api/v1/orgs/acme", acme_admin, "{\"concurrent_jobs\":999}");
  CHECK_EQ(refused.at("status").as_int64(), 403);
  CHECK_EQ(status("PUT", "/api/v1/orgs/globex", acme_admin, "{\"concurrent_jobs\":0}"), 404);
  CHECK(problem("GET", "/api/v1/orgs/globex", acme_admin) ==
        problem("GET", "/api/v1/orgs/nobody", acme_admin));
  CHECK_EQ(items("/api/v1/orgs", acme_admin), 1);
  CHECK_EQ(items("/api/v1/orgs", admin), 2);
}

TEST_CASE_FIXTURE(Routes, "org settings that are wrong change nothing") {
  see("acme");
  for (const auto* body :
       {"", "[]", "{\"concurrent_jobs\":-1}", "{\"concurrent_jobs\":\"3\"}",
        "{\"jobs_per_minute\":1e400}", "{\"egress\":\"closed\"}", "{\"org\":\"globex\"}",
        "{\"log_bytes_max\":1}", "{\"concurrent_jobs\":1,\"egres\":\"open\"}"}) {
    CHECK_EQ(status("PUT", "/api/v1/orgs/acme", admin, body), 400);
  }
  CHECK_EQ(status("PUT", "/api/v1/orgs/..%2fx", admin, "{\"concurrent_jobs\":1}"), 400);
  CHECK_EQ(
      problem("PUT", "/api/v1/orgs/acme", admin, "{\"concurent_jobs\":1}").at("hint").as_string(),
      "did you mean 'concurrent_jobs'?");
  CHECK_EQ(answer("GET", "/api/v1/orgs/acme", admin).at("concurrent_jobs").as_int64(), 20);
}

TEST_CASE_FIXTURE(Routes, "orgs are listed page by page") {
  for (const auto* org : {"a", "B", "c"}) see(org);
  const auto first = answer("GET", "/api/v1/orgs?limit=2", admin);
  CHECK_EQ(first.at("items").as_array().size(), 2);
  CHECK_EQ(first.at("next_cursor").as_string(), "B");
  const auto second = answer("GET", "/api/v1/orgs?limit=2&cursor=B", admin);
  CHECK_EQ(second.at("items").as_array().size(), 1);
  CHECK(second.at("next_cursor").is_null());
  for (const auto* limit : {"0", "1001", "-1", "x", "1x", ""}) {
    CHECK_EQ(status("GET", "/api/v1/orgs?limit=" + std::string(limit), admin), 400);
  }
}

TEST_CASE_FIXTURE(Routes, "an enrolment token makes one agent, whose credential is its own") {
  const auto invited = answer("POST", "/api/v1/agents/enrollments", admin);
  const std::string invitation(invited.at("token").as_string());
  const auto made = answer("POST", "/api/v1/agents", invitation, Routes::enrolment("host-1"));
  const std::string id(made.at("id").as_string());
  CHECK(id.starts_with("agent-"));
  CHECK_EQ(status("POST", "/api/v1/agents", invitation, Routes::enrolment("host-2")), 401);
  const net::Request poll = request("POST", "/", std::string(made.at("credential").as_string()));
  CHECK(run(authenticator.require_agent(poll, id)).has_value());
  const auto [other, credential] = enroll("host-2");
  CHECK_FALSE(run(authenticator.require_agent(poll, other)).has_value());
}

TEST_CASE_FIXTURE(Routes, "an enrolment that is wrong does not spend its token") {
  const auto invited = answer("POST", "/api/v1/agents/enrollments", admin);
  const std::string invitation(invited.at("token").as_string());
  for (const auto* body :
       {"", "{}", "{\"name\":\"x\"}", "{\"name\":\"x\",\"slots\":0}",
        "{\"name\":\"x\",\"slots\":100000}", "{\"name\":\"\",\"slots\":1}",
        "{\"name\":\"a\\u001b[0m\",\"slots\":1}", "{\"name\":\"x\",\"slot\":1}"}) {
    CHECK_EQ(status("POST", "/api/v1/agents", invitation, body), 400);
  }
  CHECK_EQ(status("POST", "/api/v1/agents", invitation, Routes::enrolment("host-1")), 201);
}

TEST_CASE_FIXTURE(Routes, "an enrolment token ends after an hour, and nothing else enrolls") {
  const auto invited = answer("POST", "/api/v1/agents/enrollments", admin);
  clock.advance(kEnrolmentTtl);
  const std::string body = Routes::enrolment("host-1");
  CHECK_EQ(status("POST", "/api/v1/agents", std::string(invited.at("token").as_string()), body),
           401);
  CHECK_EQ(status("POST", "/api/v1/agents", admin, body), 403);
  const auto [id, credential] = enroll();
  CHECK_EQ(status("POST", "/api/v1/agents", credential, body), 403);
}

TEST_CASE_FIXTURE(Routes,
                  "agents belong to the installation: an org's own operators cannot touch them") {
  const auto [id, credential] = enroll();
  const std::string path = "/api/v1/agents/" + id;
  for (const std::string& who : {acme_admin, credential}) {
    CHECK_EQ(status("GET", "/api/v1/agents", who), 403);
    CHECK_EQ(status("GET", path, who), 403);
    CHECK_EQ(status("POST", path + "/drain", who), 403);
    CHECK_EQ(status("DELETE", path, who), 403);
    CHECK_EQ(status("POST", "/api/v1/agents/enrollments", who), 403);
  }
  CHECK_EQ(answer("GET", path, admin).at("state").as_string(), "offline");
}

TEST_CASE_FIXTURE(Routes, "an agent is shown with what it told and what it holds") {
  const auto [id, credential] = enroll();
  AgentInfo poll;
  poll.slots_free = 1;
  poll.warm = 1;
  must(agents.seen({id}, poll));
  held[id] = {12, 13};
  const auto shown = answer("GET", "/api/v1/agents/" + id, admin);
  CHECK_EQ(shown.at("name").as_string(), "host-1");
  CHECK_EQ(shown.at("state").as_string(), "online");
  CHECK_EQ(shown.at("slots").as_int64(), 2);
  CHECK_EQ(shown.at("slots_free").as_int64(), 1);
  CHECK_EQ(shown.at("jobs").as_array().size(), 2);
  CHECK(api::schema_faults("Agent", shown).empty());
  CHECK(api::schema_faults("AgentList", answer("GET", "/api/v1/agents", admin)).empty());
  CHECK_EQ(status("GET", "/api/v1/agents/agent-none", admin), 404);
}

TEST_CASE_FIXTURE(Routes, "a drained agent is told to take nothing new until it is resumed") {
  const auto [id, credential] = enroll();
  must(agents.seen({id}, {}));
  CHECK_EQ(answer("POST", "/api/v1/agents/" + id + "/drain", admin).at("state").as_string(),
           "draining");
  CHECK(must(agents.seen({id}, {})).draining);
  CHECK_EQ(answer("POST", "/api/v1/agents/" + id + "/resume", admin).at("state").as_string(),
           "online");
  CHECK_FALSE(must(agents.seen({id}, {})).draining);
  CHECK_EQ(status("POST", "/api/v1/agents/agent-none/drain", admin), 404);
}

TEST_CASE_FIXTURE(Routes, "a revoked agent's credential ends at once and for good") {
  const auto [id, credential] = enroll();
  const net::Request poll = request("POST", "/", credential);
  CHECK(run(authenticator.require_agent(poll, id)).has_value());
  CHECK_EQ(status("DELETE", "/api/v1/agents/" + id, admin), 204);
  CHECK_FALSE(run(authenticator.require_agent(poll, id)).has_value());
  CHECK_FALSE(run(agents.seen({id}, {})).has_value());
  CHECK_EQ(items("/api/v1/agents", admin), 0);
  CHECK_EQ(items("/api/v1/agents?state=revoked", admin), 1);
  CHECK_EQ(status("POST", "/api/v1/agents/" + id + "/drain", admin), 404);
  CHECK_EQ(status("DELETE", "/api/v1/agents/" + id, admin), 204);
}

TEST_CASE_FIXTURE(Routes, "agents are listed by name, page by page") {
  for (const auto* name : {"a", "a 0", "b"}) enroll(name);
  std::string cursor;
  std::vector<std::string> names;
  do {
    const auto page = answer("GET", "/api/v1/agents?limit=1&cursor=" + cursor, admin);
    for (const auto& item : page.at("items").as_array()) {
      names.emplace_back(item.at("name").as_string());
    }
    cursor = page.at("next_cursor").is_null() ? "" : page.at("next_cursor").as_string().c_str();
  } while (!cursor.empty() && names.size() < 10);
  CHECK(names == std::vector<std::string>{"a", "a 0", "b"});
}

TEST_CASE_FIXTURE(Routes, "changes are told once each, polls that change nothing are not") {
  std::vector<std::string> told;
  agents.on_change([&](model::AgentId id) { told.push_back(id.value); });
  const auto [id, credential] = enroll();
  CHECK_EQ(told.size(), 1);
  AgentInfo poll;
  poll.slots_free = 2;
  must(agents.seen({id}, poll));
  CHECK_EQ(told.size(), 2);
  for (int i = 0; i < 20; ++i) {
    clock.advance(seconds(3));
    must(agents.seen({id}, poll));
  }
  must(agents.sweep());
  CHECK_EQ(told.size(), 2);
  poll.slots_free = 1;
  must(agents.seen({id}, poll));
  CHECK_EQ(told.size(), 3);
  clock.advance(kAgentOfflineAfter);
  must(agents.sweep());
  must(agents.sweep());
  CHECK_EQ(told.size(), 4);
  must(agents.seen({id}, poll));
  CHECK_EQ(told.size(), 5);
}

TEST_CASE_FIXTURE(
    Routes, "an agent that another process drained learns of it, and its polls survive a restart") {
  const auto [id, credential] = enroll();
  AgentInfo poll;
  poll.slots_free = 1;
  must(agents.seen({id}, poll));
  TokenBook other_tokens(*database, clock, random);
  AgentStore other(*database, other_tokens, clock, random);
  const auto restarted = must(other.find({id}));
  CHECK(restarted->state(clock.now()) == AgentState::online);
  CHECK_EQ(restarted->slots_free, 1);
  must(other.drain({id}, "test"));
  clock.advance(kAgentWriteEvery);
  CHECK(must(agents.seen({id}, poll)).draining);
}

TEST_CASE_FIXTURE(Routes, "the audit log tells who changed what, to its own org's admin as well") {
  see("acme");
  clock.advance(seconds(1));
  answer("PUT", "/api/v1/orgs/acme", admin, "{\"concurrent_jobs\":3}");
  enroll();
  const auto own = answer("GET", "/api/v1/audit", acme_admin);
  for (const auto& item : own.at("items").as_array()) CHECK_EQ(item.at("org").as_string(), "acme");
  CHECK_EQ(own.at("items").as_array().size(), 2);
  CHECK_EQ(own.at("items").as_array()[0].at("what").as_string(), "org changed");
  CHECK_GT(items("/api/v1/audit", admin), 4);
  CHECK_EQ(items("/api/v1/audit?org=globex", acme_admin), 0);
}
