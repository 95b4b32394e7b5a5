// For tests: control over a database of its own, an admin, and the verbs that GitHub, operators and
// agents use, through the router as the server would call it. Threads: one.
#pragma once

#include <boost/json.hpp>

#include "access/access_fixture.h"
#include "api/request_rules.h"
#include "base/json.h"
#include "base/log.h"
#include "control/control.h"
#include "control/webhook_fixtures.h"

namespace nimbus::control {

using std::chrono::seconds;

inline std::vector<Profile> test_profiles() {
  return {{.name = "nimbus", .image = "nimbus/base", .entry = {"/bin/eval", "--all"}},
          {.name = "k8s", .image = "nimbus/k8s", .entry = {"true"}}};
}

struct TestAgent {
  std::string id;
  std::string credential;
};

struct Answer {
  int status = 0;
  boost::json::object body;
  net::Headers headers;
  std::string text(std::string_view field) const { return std::string(body.at(field).as_string()); }
  int64_t number(std::string_view field) const { return body.at(field).as_int64(); }
};

struct ControlFixture : access::AccessFixture {
  OrgLimits defaults{.jobs_per_minute = 0, .concurrent_jobs = 0};
  ControlOptions options;
  std::unique_ptr<Metrics> metrics;
  std::unique_ptr<OrgStore> orgs;
  std::unique_ptr<AgentStore> agents;
  std::unique_ptr<Control> control;
  std::unique_ptr<net::Router> router;
  std::string admin;
  int deliveries = 0;

  ControlFixture() {
    configure_log(LogLevel::error, LogFormat::text);
    clock.set_now(*parse_rfc3339("2026-03-01T12:00:00Z"));
    migrate(org_migrations());
    migrate(agent_migrations());
    migrate(control_migrations());
    options.webhook.profiles = test_profiles();
    options.webhook_secrets = {Secret(std::string(kFixtureSecret))};
    admin = token(access::Role::admin, "*");
    restart();
  }

  // Everything in memory is gone; the database stays.
  void restart() {
    router.reset();
    control.reset();
    metrics = std::make_unique<Metrics>();
    orgs = std::make_unique<OrgStore>(*database, clock, defaults);
    agents = std::make_unique<AgentStore>(*database, tokens, clock, random);
    auto opened = Control::open({loop, *database, clock, *metrics, *agents, *orgs, tokens,
                                 authenticator, sessions, job_tokens},
                                options);
    REQUIRE(opened.has_value());
    control = std::move(*opened);
    router = std::make_unique<net::Router>();
    control->add_routes(*router);
    router->guard(api::request_rules());
  }

  static Answer read(const net::Response& response) {
    Answer answer{response.status, {}, response.headers};
    if (!response.body.empty() && response.body.front() == '{') {
      answer.body = *parse_json_object(response.body);
    }
    return answer;
  }
  Answer call(std::string method, std::string path, const std::string& bearer,
              std::string body = "") {
    return read(serve(*router, std::move(method), std::move(path), bearer, std::move(body)));
  }
  Answer get(std::string path) { return call("GET", std::move(path), admin); }

  // A signed delivery, ready to be spoilt.
  net::Request delivery(std::string body, std::string event = "workflow_job",
                        std::string guid = "") {
    net::Request made = request("POST", "/webhooks/github");
    if (guid.empty()) guid = "guid-" + std::to_string(++deliveries);
    made.headers.set("Content-Type", "application/json");
    made.headers.set("X-GitHub-Event", event);
    made.headers.set("X-GitHub-Delivery", guid);
    made.headers.set("X-Hub-Signature-256", fixture_signature(body));
    made.body = std::move(body);
    return made;
  }
  Answer deliver(net::Request request) { return read(serve(*router, std::move(request))); }

  // A workflow_job body of acme/app.
  std::string event(std::string_view action, int64_t job = 100, std::string_view more = "",
                    std::string_view labels = "\"nimbus\"", std::string_view owner = "acme",
                    int64_t owner_id = 9) const {
    const bool completed = action == "completed";
    const std::string status(action == "waiting" ? "waiting" : action);
    return "{\"action\":\"" + std::string(action) +
           "\",\"workflow_job\":{\"id\":" + std::to_string(job) +
           ",\"run_id\":5,\"run_attempt\":1,\"status\":\"" + status +
           "\",\"head_branch\":\"main\",\"name\":\"test\",\"labels\":[" + std::string(labels) +
           "],\"created_at\":\"" + to_rfc3339(clock.now()) + "\",\"runner_name\":\"r1\"" +
           (completed && more.empty() ? ",\"conclusion\":\"success\"" : "") + std::string(more) +
           "},\"repository\":{\"name\":\"app\",\"default_branch\":\"main\",\"owner\":{\"login\":"
           "\"" +
           std::string(owner) + "\",\"id\":" + std::to_string(owner_id) + "}}}";
  }
  Answer send(std::string_view action, int64_t job = 100, std::string_view more = "",
              std::string_view labels = "\"nimbus\"") {
    return deliver(delivery(event(action, job, more, labels)));
  }

  // A native job's number.
  int64_t queue_job(const std::string& org = "acme", const std::string& more = "") {
    const Answer made =
        call("POST", "/api/v1/jobs", admin,
             "{\"org\":\"" + org + "\",\"repo\":\"app\",\"command\":[\"true\"]" + more + "}");
    REQUIRE_EQ(made.status, 201);
    return made.number("id");
  }
  Answer job(int64_t id) { return get("/api/v1/jobs/" + std::to_string(id)); }
  std::string state(int64_t id) { return job(id).text("state"); }

  TestAgent enroll(const std::string& name = "host") {
    const Answer invited = call("POST", "/api/v1/agents/enrollments", admin);
    const Answer made = call("POST", "/api/v1/agents", invited.text("token"),
                             "{\"name\":\"" + name + "\",\"slots\":4}");
    return {made.text("id"), made.text("credential")};
  }
  // Asks for jobs without waiting.
  Answer poll(const TestAgent& agent, int slots = 1, const std::string& more = "") {
    return call("POST", "/api/v1/agents/" + agent.id + "/assignments", agent.credential,
                "{\"slots_free\":" + std::to_string(slots) + ",\"wait_s\":0" + more + "}");
  }
  Answer renew(const TestAgent& agent, int64_t job, int64_t fence) {
    return call("PUT", "/api/v1/jobs/" + std::to_string(job) + "/lease", agent.credential,
                "{\"fence\":" + std::to_string(fence) + "}");
  }
  Answer report(const TestAgent& agent, int64_t job, int64_t fence, int64_t seq,
                const std::string& type, const std::string& more = "") {
    return call("POST", "/api/v1/jobs/" + std::to_string(job) + "/events", agent.credential,
                "{\"fence\":" + std::to_string(fence) + ",\"seq\":" + std::to_string(seq) +
                    ",\"type\":\"" + type + "\"" + more + "}");
  }
  void sweep() { run(swept()); }
  // Writes that nobody waits for are in the database afterwards.
  void settle() {
    REQUIRE(database->write_now([](db::Transaction&) -> Result<void> { return {}; }).has_value());
  }
  // Time passes, the sweeper runs every second.
  void pass(int64_t how_long) {
    for (int64_t i = 0; i < how_long; ++i) {
      clock.advance(seconds(1));
      sweep();
    }
  }

 private:
  Task<bool> swept() {
    co_await control->sweep();
    co_return true;
  }
};

// The numbers of the jobs that an answer to a poll hands out.
inline std::vector<int64_t> assigned(const Answer& answer) {
  std::vector<int64_t> jobs;
  if (answer.status != 200) return jobs;
  for (const auto& item : answer.body.at("assignments").as_array()) {
    jobs.push_back(item.at("job").as_int64());
  }
  return jobs;
}

}  // namespace nimbus::control
