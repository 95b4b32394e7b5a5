// Leases over the agents' routes: fences, expiry, repetition, fairness and limits.
#include "api/openapi.h"
#include "control/control_fixture.h"

using namespace nimbus;
using namespace nimbus::control;

namespace {

struct Leases : ControlFixture {
  TestAgent agent = enroll("one");
  TestAgent other = enroll("two");
  Answer finish(int64_t job, int64_t fence, int64_t seq = 2,
                const std::string& result = "succeeded") {
    return report(agent, job, fence, seq, "finished", ",\"result\":\"" + result + "\"");
  }
};

}  // namespace

TEST_CASE_FIXTURE(Leases, "a queued job is assigned with a token and all it takes to run it") {
  const int64_t id = queue_job("acme", ",\"env\":{\"A\":\"b\"},\"timeout_s\":9");
  const Answer answer = poll(agent);
  CHECK_EQ(answer.status, 200);
  CHECK(api::schema_faults("Assignments", answer.body).empty());
  const auto& assignment = answer.body.at("assignments").as_array().front();
  CHECK_EQ(assignment.at("job").as_int64(), id);
  CHECK_EQ(assignment.at("fence").as_int64(), 1);
  CHECK_EQ(boost::json::serialize(assignment.at("spec").at("env")), R"({"A":"b"})");
  CHECK_EQ(assignment.at("spec").at("timeout_s").as_int64(), 9);
  const auto claims =
      job_tokens.verify(std::string(assignment.at("job_token").as_string()), clock.now());
  REQUIRE(claims);
  CHECK_EQ(claims->org, "acme");
  CHECK_EQ(claims->job.value, id);
  CHECK_EQ(claims->fence.value, 1);
  CHECK_EQ(to_rfc3339(claims->expires_at), std::string(assignment.at("expires_at").as_string()));
  CHECK_EQ(job(id).text("state"), "leased");
  CHECK_EQ(job(id).text("agent"), agent.id);
  CHECK_EQ(poll(agent).status, 204);
}

TEST_CASE_FIXTURE(Leases,
                  "an execution goes from booting to its end, each step recorded with its fence") {
  const int64_t id = queue_job();
  poll(agent);
  CHECK_EQ(report(agent, id, 1, 1, "booting").status, 202);
  CHECK_EQ(report(agent, id, 1, 2, "started").status, 202);
  CHECK_EQ(
      report(agent, id, 1, 3, "finished",
             ",\"result\":\"failed\",\"exit_code\":3,\"reason\":\"exit code 3\",\"log_last_seq\":8")
          .status,
      202);
  const Answer done = job(id);
  CHECK(api::schema_faults("JobDetail", done.body).empty());
  CHECK_EQ(done.text("state"), "failed");
  CHECK_EQ(done.text("reason"), "exit code 3");
  CHECK_EQ(done.number("exit_code"), 3);
  CHECK_EQ(done.body.at("log").at("last_seq").as_int64(), 8);
  std::string path;
  for (const auto& transition : done.body.at("transitions").as_array()) {
    path += std::string(transition.at("state").as_string()) + ":" +
            std::to_string(transition.at("fence").as_int64()) + " ";
  }
  CHECK_EQ(path, "queued:0 leased:1 running:1 failed:1 ");
  CHECK_EQ(renew(agent, id, 1).status, 409);
}

TEST_CASE_FIXTURE(Leases, "the same report again is answered 200 and changes nothing") {
  const int64_t id = queue_job();
  poll(agent);
  CHECK_EQ(report(agent, id, 1, 1, "started").status, 202);
  CHECK_EQ(report(agent, id, 1, 1, "started").status, 200);
  CHECK_EQ(finish(id, 1).status, 202);
  const Answer again = finish(id, 1, 2, "failed");
  CHECK_EQ(again.status, 200);
  CHECK_EQ(again.text("state"), "succeeded");
  CHECK_EQ(state(id), "succeeded");
}

TEST_CASE_FIXTURE(Leases, "a transition that cannot be is refused with 422") {
  const int64_t id = queue_job();
  poll(agent);
  report(agent, id, 1, 1, "started");
  CHECK_EQ(report(agent, id, 1, 2, "started").status, 422);
  CHECK_EQ(report(agent, id, 1, 2, "booting").status, 422);
  CHECK_EQ(finish(id, 1).status, 202);
  const Answer late = finish(id, 1, 3, "failed");
  CHECK_EQ(late.status, 422);
  CHECK(api::schema_faults("Problem", late.body).empty());
  CHECK_EQ(state(id), "succeeded");
}

TEST_CASE_FIXTURE(Leases, "a fence that is not the job's own is refused as stale") {
  const int64_t id = queue_job();
  poll(agent);
  for (const int64_t fence : {2, 3, 1000}) {
    const Answer answer = report(agent, id, fence, 1, "started");
    CHECK_EQ(answer.status, 409);
    CHECK_EQ(answer.text("code"), "stale-fence");
    CHECK_EQ(renew(agent, id, fence).text("code"), "stale-fence");
  }
  CHECK_EQ(report(other, id, 1, 1, "started").text("code"), "stale-fence");
  CHECK_EQ(renew(other, id, 1).text("code"), "stale-fence");
  CHECK_EQ(report(agent, 999, 1, 1, "started").status, 404);
  CHECK_EQ(state(id), "leased");
}

TEST_CASE_FIXTURE(
    Leases, "a lease that is renewed holds, one that is not ends and the job runs elsewhere") {
  const int64_t kept = queue_job();
  const int64_t lost = queue_job();
  CHECK_EQ(assigned(poll(agent, 2)).size(), 2);
  for (int i = 0; i < 4; ++i) {
    pass(20);
    CHECK_EQ(renew(agent, kept, 1).status, 200);
  }
  CHECK_EQ(state(kept), "leased");
  CHECK_EQ(state(lost), "queued");
  CHECK_EQ(job(lost).text("reason"),
           "queued again: agent " + agent.id + " stopped renewing its lease");
  const Answer second = poll(other);
  CHECK_EQ(assigned(second), std::vector<int64_t>{lost});
  CHECK_EQ(second.body.at("assignments").as_array().front().at("fence").as_int64(), 2);
  CHECK_EQ(finish(lost, 1, 1).text("code"), "stale-fence");
  CHECK_EQ(report(other, lost, 2, 1, "finished", ",\"result\":\"succeeded\"").status, 202);
  CHECK_EQ(state(lost), "succeeded");
}

TEST_CASE_FIXTURE(Leases, "an old execution cannot report while its job waits to run again") {
  const int64_t id = queue_job();
  poll(agent);
  pass(61);
  CHECK_EQ(state(id), "queued");
  CHECK_EQ(finish(id, 1).text("code"), "stale-fence");
  CHECK_EQ(renew(agent, id, 1).text("code"), "stale-fence");
  CHECK_EQ(state(id), "queued");
}

TEST_CASE_FIXTURE(Leases, "the job token of a lease that ended opens nothing any more") {
  const auto token_of = [](const Answer& assigned) {
    const auto& assignment = assigned.body.at("assignments").as_array().front();
    return std::string(assignment.at("job_token").as_string());
  };
  const auto open = [&](const std::string& token) {
    return run(authenticator.require_job(request("GET", "/", token), access::kScopeCache))
        .has_value();
  };
  const int64_t id = queue_job("acme", ",\"retries\":1");
  const std::string first = token_of(poll(agent));
  CHECK(open(first));
  report(agent, id, 1, 1, "abandoned");
  pass(1);
  CHECK_FALSE(open(first));
  const std::string second = token_of(poll(agent));
  CHECK(open(second));
  CHECK_EQ(finish(id, 2).status, 202);
  pass(1);
  CHECK_FALSE(open(second));
}

TEST_CASE_FIXTURE(Leases,
                  "an agent's revocation ends the job tokens it holds, not yet its leases") {
  const int64_t id = queue_job();
  const Answer assigned = poll(agent);
  const auto& assignment = assigned.body.at("assignments").as_array().front();
  const std::string token(assignment.at("job_token").as_string());
  const auto open = [&] {
    return run(authenticator.require_job(request("GET", "/", token), access::kScopeCache));
  };
  CHECK(open().has_value());
  CHECK_EQ(call("DELETE", "/api/v1/agents/" + agent.id, admin).status, 204);
  pass(1);
  CHECK_FALSE(open().has_value());
  CHECK_EQ(state(id), "leased");
}

TEST_CASE_FIXTURE(Leases, "a job's tries are bounded") {
  const int64_t id = queue_job("acme", ",\"retries\":1");
  for (int i = 0; i < 2; ++i) {
    CHECK_EQ(assigned(poll(agent)).size(), 1);
    pass(61);
  }
  CHECK_EQ(state(id), "lost");
  CHECK_EQ(job(id).text("reason"),
           "agent " + agent.id + " stopped renewing its lease; no tries left (2 of 2)");
  CHECK_EQ(finish(id, 2).text("code"), "stale-fence");
}

TEST_CASE_FIXTURE(Leases,
                  "a job of GitHub's that had started is lost, one that had not is queued again") {
  const int64_t started = send("queued", 1).number("job");
  const int64_t leased = send("queued", 2).number("job");
  poll(agent, 2);
  report(agent, started, 1, 1, "started");
  pass(61);
  CHECK_EQ(state(started), "lost");
  CHECK_NE(job(started).text("reason").find("cannot run again"), std::string::npos);
  CHECK_EQ(state(leased), "queued");
}

TEST_CASE_FIXTURE(Leases, "a cancelled job whose agent dies ends as cancelled") {
  const int64_t id = queue_job();
  poll(agent);
  CHECK_EQ(call("POST", "/api/v1/jobs/" + std::to_string(id) + "/cancel", admin).status, 202);
  pass(61);
  CHECK_EQ(state(id), "cancelled");
}

TEST_CASE_FIXTURE(Leases, "a jump of the wall clock ends no lease") {
  const int64_t id = queue_job();
  poll(agent);
  clock.set_now(clock.now() + std::chrono::hours(5));
  sweep();
  CHECK_EQ(state(id), "leased");
}

TEST_CASE_FIXTURE(Leases, "leases survive a restart, with a fresh time to live") {
  const int64_t id = queue_job();
  poll(agent);
  pass(50);
  restart();
  pass(50);
  CHECK_EQ(renew(agent, id, 1).status, 200);
  CHECK_EQ(report(agent, id, 1, 1, "started").status, 202);
  restart();
  pass(61);
  CHECK_EQ(state(id), "queued");
  CHECK_EQ(job(id).number("fence"), 1);
}

TEST_CASE_FIXTURE(Leases, "after this process was stopped, leases get a fresh time to live") {
  const int64_t id = queue_job();
  poll(agent);
  clock.advance(seconds(120));
  sweep();
  CHECK_EQ(renew(agent, id, 1).status, 200);
  pass(61);
  CHECK_EQ(state(id), "queued");
}

TEST_CASE_FIXTURE(Leases, "an execution given up before it started is tried again") {
  const int64_t id = queue_job();
  poll(agent);
  CHECK_EQ(report(agent, id, 1, 1, "abandoned", ",\"reason\":\"no slot\"").status, 202);
  CHECK_EQ(state(id), "queued");
  CHECK_EQ(job(id).text("reason"), "queued again: no slot");
  const Answer second = poll(agent);
  CHECK_EQ(second.body.at("assignments").as_array().front().at("fence").as_int64(), 2);
}

TEST_CASE_FIXTURE(Leases,
                  "an execution given back before it started costs no try, one that ran does") {
  const int64_t id = queue_job();
  const std::string given_back = ",\"reason\":\"the agent is stopping\",\"keeps_try\":true";
  poll(agent);
  CHECK_EQ(report(agent, id, 1, 1, "abandoned", given_back).status, 202);
  CHECK_EQ(job(id).number("tries"), 0);
  CHECK_EQ(job(id).number("fence"), 1);
  poll(agent);
  CHECK_EQ(report(agent, id, 2, 1, "started").status, 202);
  CHECK_EQ(report(agent, id, 2, 2, "abandoned", given_back).status, 202);
  CHECK_EQ(state(id), "queued");
  CHECK_EQ(job(id).number("tries"), 1);
}

TEST_CASE_FIXTURE(Leases,
                  "a started execution that is abandoned ends its job when it has no try left") {
  const std::string stopped = ",\"reason\":\"the agent was stopped\"";
  const int64_t native = queue_job("acme", ",\"retries\":0");
  const int64_t github = send("queued", 1).number("job");
  poll(agent, 2);
  for (const int64_t id : {native, github}) {
    report(agent, id, 1, 1, "started");
    CHECK_EQ(report(agent, id, 1, 2, "abandoned", stopped).status, 202);
    CHECK_EQ(state(id), "lost");
  }
  CHECK_EQ(job(native).text("reason"), "the agent was stopped; no tries left (1 of 1)");
  CHECK_EQ(job(github).text("reason"),
           "the agent was stopped; a GitHub job that has started cannot run again");
}

TEST_CASE_FIXTURE(Leases, "a job that is being cancelled says by whom until and after its end") {
  const int64_t id = queue_job();
  poll(agent);
  call("POST", "/api/v1/jobs/" + std::to_string(id) + "/cancel", admin);
  const std::string being = "being cancelled by test";
  CHECK_EQ(job(id).text("reason"), being);
  CHECK_EQ(report(agent, id, 1, 1, "booting").status, 202);
  CHECK_EQ(job(id).text("reason"), being);
  CHECK_EQ(report(agent, id, 1, 2, "started").status, 202);
  CHECK_EQ(job(id).text("reason"), being);
  const std::string cancelled = ",\"result\":\"cancelled\",\"reason\":\"cancelled\"";
  CHECK_EQ(report(agent, id, 1, 3, "finished", cancelled).status, 202);
  CHECK_EQ(job(id).text("reason"), "cancelled by test");
}

TEST_CASE_FIXTURE(Leases, "a job that is being cancelled and whose execution is gone says both") {
  const int64_t id = queue_job();
  poll(agent);
  call("POST", "/api/v1/jobs/" + std::to_string(id) + "/cancel", admin);
  CHECK_EQ(report(agent, id, 1, 1, "abandoned", ",\"reason\":\"the VM was gone\"").status, 202);
  CHECK_EQ(state(id), "cancelled");
  CHECK_EQ(job(id).text("reason"), "cancelled by test; the VM was gone");
}

TEST_CASE_FIXTURE(Leases, "a job's times are those of its execution, not of reports that waited") {
  const int64_t id = queue_job();
  const auto after = [](int64_t s) {
    return to_rfc3339(*parse_rfc3339("2026-03-01T12:00:00Z") + seconds(s));
  };
  poll(agent);
  clock.advance(seconds(50));
  CHECK_EQ(report(agent, id, 1, 1, "started", ",\"age_ms\":40000").status, 202);
  const std::string end = ",\"result\":\"succeeded\",\"exit_code\":0,\"age_ms\":20000";
  CHECK_EQ(report(agent, id, 1, 2, "finished", end).status, 202);
  CHECK_EQ(job(id).text("started_at"), after(10));
  CHECK_EQ(job(id).text("finished_at"), after(30));
  CHECK_EQ(job(id).body.at("transitions").as_array().back().at("at").as_string(), after(30));
}

TEST_CASE_FIXTURE(Leases, "an age that cannot be makes no job end before it started") {
  const int64_t id = queue_job();
  poll(agent);
  clock.advance(seconds(5));
  CHECK_EQ(report(agent, id, 1, 1, "started", ",\"age_ms\":86400000").status, 202);
  CHECK_EQ(job(id).text("started_at"), job(id).text("leased_at"));
  const std::string end = ",\"result\":\"succeeded\",\"age_ms\":86400000";
  CHECK_EQ(report(agent, id, 1, 2, "finished", end).status, 202);
  CHECK_EQ(job(id).text("finished_at"), job(id).text("started_at"));
}

TEST_CASE_FIXTURE(Leases, "a report that contradicts itself is refused and changes nothing") {
  const int64_t id = queue_job();
  poll(agent);
  report(agent, id, 1, 1, "started");
  for (const char* end :
       {",\"result\":\"succeeded\",\"exit_code\":3", ",\"result\":\"failed\",\"exit_code\":0",
        ",\"result\":\"failed\",\"exit_code\":-1", ",\"result\":\"failed\",\"exit_code\":256",
        ",\"result\":\"failed\",\"keeps_try\":true"}) {
    const Answer refused = report(agent, id, 1, 2, "finished", end);
    CHECK_EQ(refused.status, 400);
    CHECK(api::schema_faults("Problem", refused.body).empty());
  }
  CHECK_EQ(report(agent, id, 1, 2, "abandoned", ",\"result\":\"failed\"").status, 400);
  CHECK_EQ(report(agent, id, 1, 2, "abandoned", ",\"exit_code\":1").status, 400);
  const Answer told =
      report(agent, id, 1, 2, "finished", ",\"result\":\"succeeded\",\"exit_code\":3");
  CHECK_EQ(told.text("detail"), "field 'exit_code' is 3, which contradicts result 'succeeded'");
  CHECK_EQ(state(id), "running");
  CHECK_EQ(report(agent, id, 1, 2, "finished", ",\"result\":\"timed_out\",\"exit_code\":0").status,
           202);
}

namespace {

constexpr const char* kLacking = ",\"reason\":\"no image x\",\"lacks_image\":true";

}  // namespace

TEST_CASE_FIXTURE(Leases, "a job whose image an agent lacks goes to another, and costs no try") {
  poll(other);  // it is there
  const int64_t id = queue_job();
  poll(agent);
  CHECK_EQ(report(agent, id, 1, 1, "abandoned", kLacking).status, 202);
  CHECK_EQ(state(id), "queued");
  CHECK_EQ(job(id).text("reason"), "queued again: no image x; another agent is asked");
  CHECK_EQ(job(id).number("tries"), 0);
  CHECK_EQ(poll(agent).status, 204);
  CHECK_EQ(assigned(poll(other)), std::vector<int64_t>{id});
  CHECK_EQ(report(other, id, 2, 1, "started").status, 202);
}

TEST_CASE_FIXTURE(Leases, "a job whose image no agent has ends once each was asked") {
  poll(other);
  const int64_t id = queue_job();
  poll(agent);
  report(agent, id, 1, 1, "abandoned", kLacking);
  poll(other);
  CHECK_EQ(report(other, id, 2, 1, "abandoned", kLacking).status, 202);
  CHECK_EQ(state(id), "failed");
  CHECK_EQ(job(id).text("reason"), "no image x; none of the 2 agents asked has it");
}

TEST_CASE_FIXTURE(Leases, "a job whose image the only agent lacks ends at once, with its reason") {
  const int64_t id = queue_job();
  poll(agent);
  report(agent, id, 1, 1, "abandoned", kLacking);
  CHECK_EQ(state(id), "failed");
  CHECK_EQ(job(id).text("reason"), "no image x");
}

TEST_CASE_FIXTURE(Leases, "a job does not wait for ever for an agent that went away") {
  poll(other);
  const int64_t id = queue_job();
  poll(agent);
  report(agent, id, 1, 1, "abandoned", kLacking);
  pass(60);
  CHECK_EQ(state(id), "queued");
  pass(60);  // the other one has been silent for too long
  CHECK_EQ(state(id), "failed");
  CHECK_EQ(job(id).text("reason"), "no image x; no other agent is online");
}

TEST_CASE_FIXTURE(Leases, "an agent whose host restarted loses its leases at once") {
  const int64_t id = queue_job();
  CHECK_EQ(assigned(poll(agent, 1, ",\"boot_id\":\"a\"")).size(), 1);
  poll(agent, 0, ",\"boot_id\":\"a\"");
  CHECK_EQ(state(id), "leased");
  restart();
  CHECK_EQ(poll(agent, 0, ",\"boot_id\":\"b\"").status, 204);
  CHECK_EQ(state(id), "queued");
  CHECK_EQ(job(id).text("reason"), "queued again: the host of agent " + agent.id + " restarted");
}

TEST_CASE_FIXTURE(Leases, "an assignment whose answer was lost is repeated with the same fence") {
  const int64_t id = queue_job();
  CHECK_EQ(assigned(poll(agent, 1, ",\"running\":[]")), std::vector<int64_t>{id});
  const Answer again = poll(agent, 1, ",\"running\":[]");
  CHECK_EQ(assigned(again), std::vector<int64_t>{id});
  CHECK_EQ(again.body.at("assignments").as_array().front().at("fence").as_int64(), 1);
  const std::string holds = ",\"running\":[{\"job\":" + std::to_string(id) + ",\"fence\":1}]";
  CHECK_EQ(poll(agent, 1, holds).status, 204);
  CHECK_EQ(poll(agent, 1, ",\"running\":[]").status, 204);
  CHECK_EQ(job(id).number("tries"), 1);
}

TEST_CASE_FIXTURE(Leases, "a draining agent gets nothing new and keeps what it has") {
  const int64_t id = queue_job();
  poll(agent);
  CHECK_EQ(call("POST", "/api/v1/agents/" + agent.id + "/drain", admin).status, 202);
  queue_job();
  CHECK_EQ(poll(agent).status, 204);
  CHECK_EQ(renew(agent, id, 1).status, 200);
  CHECK_EQ(assigned(poll(other)).size(), 1);
}

TEST_CASE_FIXTURE(Leases, "an agent is shown with the jobs it holds") {
  const int64_t id = queue_job();
  poll(agent);
  const Answer shown = get("/api/v1/agents/" + agent.id);
  CHECK_EQ(shown.body.at("jobs").as_array().front().as_int64(), id);
  CHECK(api::schema_faults("Agent", shown.body).empty());
}

TEST_CASE_FIXTURE(Leases, "an agent may not act for another, nor an operator for an agent") {
  const std::string path = "/api/v1/agents/" + agent.id + "/assignments";
  const std::string body = "{\"slots_free\":1,\"wait_s\":0}";
  CHECK_EQ(call("POST", path, other.credential, body).status, 404);
  CHECK_EQ(call("POST", path, "", body).status, 401);
  CHECK_GE(call("POST", path, admin, body).status, 400);
  CHECK_EQ(call("PUT", "/api/v1/jobs/1/lease", "", "{\"fence\":1}").status, 401);
}

TEST_CASE_FIXTURE(Leases, "a light org is served beside a noisy one") {
  for (int i = 0; i < 50; ++i) queue_job("noisy");
  const int64_t light = queue_job("light");
  const auto first = assigned(poll(agent, 4));
  CHECK_NE(std::find(first.begin(), first.end(), light), first.end());
}

TEST_CASE_FIXTURE(Leases, "an org's limit of concurrent jobs delays, says so, and lets go") {
  REQUIRE_EQ(call("PUT", "/api/v1/orgs/acme", admin, "{\"concurrent_jobs\":1}").status, 200);
  const int64_t first = queue_job();
  const int64_t second = queue_job();
  CHECK_EQ(assigned(poll(agent, 4)), std::vector<int64_t>{first});
  CHECK_EQ(job(second).text("reason"), "held: org acme is at its limit of 1 concurrent jobs");
  restart();
  CHECK_EQ(poll(agent, 4).status, 204);
  CHECK_EQ(finish(first, 1).status, 202);
  CHECK_EQ(job(second).text("reason"), "");
  CHECK_EQ(assigned(poll(agent, 4)), std::vector<int64_t>{second});
}

TEST_CASE_FIXTURE(Leases, "an org's rate survives a restart and no job is dropped") {
  REQUIRE_EQ(call("PUT", "/api/v1/orgs/acme", admin, "{\"jobs_per_minute\":2}").status, 200);
  for (int i = 0; i < 3; ++i) queue_job();
  CHECK_EQ(assigned(poll(agent, 4)).size(), 2);
  restart();
  CHECK_EQ(poll(agent, 4).status, 204);
  CHECK_EQ(job(3).text("reason"), "held: org acme is at its limit of 2 jobs per minute");
  clock.advance(seconds(30));
  CHECK_EQ(assigned(poll(agent, 4)), std::vector<int64_t>{3});
}

TEST_CASE_FIXTURE(Leases, "a job too big for one agent waits for another") {
  queue_job("acme", ",\"resources\":{\"cpus\":8}");
  CHECK_EQ(poll(agent, 1, ",\"cpus_free\":4").status, 204);
  CHECK_EQ(assigned(poll(other, 1, ",\"cpus_free\":8")).size(), 1);
}

TEST_CASE_FIXTURE(Leases, "a poll or a report that is malformed is refused with 400") {
  const auto ask = [this](const std::string& body) {
    return call("POST", "/api/v1/agents/" + agent.id + "/assignments", agent.credential, body)
        .status;
  };
  for (const char* body :
       {"", "[]", "{}", "{\"slots_free\":-1,\"wait_s\":0}", "{\"slots_free\":1}",
        "{\"slots_free\":1,\"wait_s\":\"1\"}", "{\"slots_free\":1,\"wait_s\":0,\"running\":[1]}"}) {
    CHECK_EQ(ask(body), 400);
  }
  const int64_t id = queue_job();
  poll(agent);
  CHECK_EQ(report(agent, id, 1, 1, "sleeping").status, 400);
  CHECK_EQ(report(agent, id, 1, 1, "finished").status, 400);
  CHECK_EQ(report(agent, id, 1, 1, "finished", ",\"result\":\"lost\"").status, 400);
  CHECK_EQ(report(agent, id, 0, 1, "started").status, 400);
  CHECK_EQ(report(agent, id, 1, 0, "started").status, 400);
}

namespace {

// A request that stays open while the test goes on.
struct OpenCall {
  std::optional<net::Response> response;
};
Task<void> keep_open(const net::Handler* handler, net::Request request, OpenCall& call) {
  call.response = co_await (*handler)(request);
}

struct LongPolls : Leases {
  // Opens every request, does `meanwhile` on the loop once they wait, and runs until all are
  // answered.
  void open(net::Request request, OpenCall& call) {
    const net::RouteMatch match = router->match(request.method, request.path);
    REQUIRE(match.handler != nullptr);
    request.parameters = match.parameters;
    loop.spawn(keep_open(match.handler, std::move(request), call), "open call");
  }
  net::Request waiting_poll(const TestAgent& who) {
    return request("POST", "/api/v1/agents/" + who.id + "/assignments", who.credential,
                   "{\"slots_free\":1,\"wait_s\":60}");
  }
};

// Waits until `agents` long polls are there, then calls the route.
Task<void> once_waiting(ControlFixture& fixture, size_t agents, net::Request request,
                        OpenCall& call) {
  while (fixture.control->board().waiting_agents() < agents) {
    co_await fixture.loop.sleep(std::chrono::milliseconds(1));
  }
  const net::RouteMatch match = fixture.router->match(request.method, request.path);
  request.parameters = match.parameters;
  call.response = co_await (*match.handler)(request);
}

}  // namespace

TEST_CASE_FIXTURE(LongPolls, "a waiting agent gets a new job at once, and only one agent does") {
  OpenCall first, second, made;
  open(waiting_poll(agent), first);
  loop.spawn(once_waiting(*this, 1,
                          request("POST", "/api/v1/jobs", admin,
                                  R"({"org":"acme","repo":"app","command":["true"]})"),
                          made),
             "queue");
  loop.run();
  REQUIRE(first.response);
  CHECK_EQ(first.response->status, 200);
  CHECK_EQ(made.response->status, 201);
  CHECK_EQ(assigned(read(*first.response)),
           std::vector<int64_t>{read(*made.response).number("id")});
}

TEST_CASE_FIXTURE(LongPolls, "an agent that asks again takes over from its older request") {
  OpenCall first, second, made;
  open(waiting_poll(agent), first);
  loop.spawn(once_waiting(*this, 1,
                          request("POST", "/api/v1/agents/" + agent.id + "/assignments",
                                  agent.credential, "{\"slots_free\":1,\"wait_s\":0}"),
                          second),
             "again");
  loop.run();
  CHECK_EQ(first.response->status, 204);
  CHECK_EQ(second.response->status, 204);
  CHECK_EQ(control->board().waiting_agents(), 0);
}

namespace {

// What operators and orderers do, one call after the other, once an agent waits.
Task<void> call_once_waiting(ControlFixture& fixture, std::vector<net::Request> requests,
                             std::vector<int>& statuses) {
  for (net::Request& request : requests) {
    OpenCall call;
    const size_t waiting = statuses.empty() ? 1 : 0;
    co_await once_waiting(fixture, waiting, std::move(request), call);
    statuses.push_back(call.response->status);
  }
}

struct BarredAgent : LongPolls {
  OpenCall asked;
  std::vector<int> statuses;
  net::Request order() {
    return request("POST", "/api/v1/jobs", admin,
                   R"({"org":"acme","repo":"app","command":["true"]})");
  }
  // The agent waits, `bar` happens, then a job comes.
  void bar(net::Request bar) {
    open(waiting_poll(agent), asked);
    std::vector<net::Request> requests;
    requests.push_back(std::move(bar));
    requests.push_back(order());
    loop.spawn(call_once_waiting(*this, std::move(requests), statuses), "bar, then order");
    loop.run();
  }
};

}  // namespace

TEST_CASE_FIXTURE(BarredAgent, "an agent that is revoked while it waits gets no job") {
  bar(request("DELETE", "/api/v1/agents/" + agent.id, admin));
  CHECK_EQ(statuses, std::vector<int>{204, 201});
  CHECK_EQ(asked.response->status, 204);
  CHECK_EQ(state(1), "queued");
  CHECK_EQ(poll(agent).status, 401);
  CHECK_EQ(assigned(poll(other)), std::vector<int64_t>{1});
}

TEST_CASE_FIXTURE(Leases, "an agent that was revoked is told so, one that nobody knows is not") {
  call("DELETE", "/api/v1/agents/" + agent.id, admin);
  const Answer revoked = poll(agent);
  CHECK_EQ(revoked.status, 401);
  CHECK_EQ(revoked.text("code"), "agent-revoked");
  CHECK_EQ(revoked.headers.count("WWW-Authenticate"), 1);
  const Answer unknown = poll({"agent-000000000000", agent.credential});
  CHECK_EQ(unknown.status, 401);
  CHECK_EQ(unknown.text("code"), "unauthenticated");
}

TEST_CASE_FIXTURE(BarredAgent, "an agent that is drained while it waits gets no more jobs") {
  bar(request("POST", "/api/v1/agents/" + agent.id + "/drain", admin));
  CHECK_EQ(statuses, std::vector<int>{202, 201});
  CHECK_EQ(asked.response->status, 204);
  CHECK_EQ(state(1), "queued");
  CHECK_EQ(assigned(poll(other)), std::vector<int64_t>{1});
}

TEST_CASE_FIXTURE(BarredAgent,
                  "a job picked for an agent that was drained meanwhile stays queued") {
  const std::string id = agent.id;
  const auto drain_behind_the_board = [&](db::Transaction& tx) -> Result<void> {
    TRY(tx.run("UPDATE agents SET draining = 1 WHERE id = $1", id));
    return {};
  };
  poll(agent);  // this process has seen it, and does not look again for a while
  REQUIRE(database->write_now(drain_behind_the_board));
  const int64_t job = queue_job();
  CHECK_EQ(poll(agent).status, 204);
  CHECK_EQ(state(job), "queued");
  CHECK_EQ(this->job(job).number("tries"), 0);
  CHECK_EQ(assigned(poll(other)), std::vector<int64_t>{job});
}

TEST_CASE_FIXTURE(LongPolls, "stopping answers the agents that wait and hands out nothing more") {
  OpenCall first;
  open(waiting_poll(agent), first);
  Task<void> stop = [](ControlFixture& fixture) -> Task<void> {
    while (fixture.control->board().waiting_agents() == 0) {
      co_await fixture.loop.sleep(std::chrono::milliseconds(1));
    }
    fixture.control->stop();
  }(*this);
  loop.spawn(std::move(stop), "stop");
  loop.run();
  CHECK_EQ(first.response->status, 204);
  queue_job();
  CHECK_EQ(poll(agent).status, 204);
}

namespace {

Task<void> cancel_once_watched(ControlFixture& fixture, int64_t job, net::Request request,
                               OpenCall& call) {
  // The renewal has gone through when the lease counts as acknowledged.
  while (!fixture.control->board().leases().find(job)->acknowledged) {
    co_await fixture.loop.sleep(std::chrono::milliseconds(1));
  }
  const net::RouteMatch match = fixture.router->match(request.method, request.path);
  request.parameters = match.parameters;
  call.response = co_await (*match.handler)(request);
}

}  // namespace

TEST_CASE_FIXTURE(LongPolls, "a renewal that waits is answered when the job is cancelled") {
  const int64_t id = queue_job();
  poll(agent);
  OpenCall renewal, cancel;
  net::Request request = this->request("PUT", "/api/v1/jobs/" + std::to_string(id) + "/lease",
                                       agent.credential, "{\"fence\":1}");
  request.query.emplace_back("wait_s", "30");
  open(std::move(request), renewal);
  loop.spawn(
      cancel_once_watched(
          *this, id, this->request("POST", "/api/v1/jobs/" + std::to_string(id) + "/cancel", admin),
          cancel),
      "cancel");
  loop.run();
  CHECK_EQ(cancel.response->status, 202);
  CHECK(read(*renewal.response).body.at("cancel").as_bool());
}
