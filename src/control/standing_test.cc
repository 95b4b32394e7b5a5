// What a job of GitHub's may write to, with and without the event that says what started its run.
#include "control/standing.h"

#include <doctest/doctest.h>

#include "control/control_fixture.h"

using namespace nimbus;
using namespace nimbus::control;
using access::Trust;

namespace {

WorkflowRun run_of(std::string event, std::string branch = "main") {
  WorkflowRun run;
  run.run_id = 5;
  run.event = std::move(event);
  run.head_branch = std::move(branch);
  run.repository_id = 1;
  run.head_repository_id = 1;
  run.owner_id = 9;
  run.owner = "acme";
  run.repo = "app";
  return run;
}

struct Standings : ControlFixture {
  // A workflow_run body of acme/app's run 5, the run that `event` gives jobs to.
  std::string run_body(std::string_view event, int64_t head_repository, std::string_view more = "",
                       std::string_view action = "requested") {
    return "{\"action\":\"" + std::string(action) + "\",\"workflow_run\":{\"id\":5,\"event\":\"" +
           std::string(event) + "\",\"head_branch\":\"main\",\"head_repository\":{\"id\":" +
           std::to_string(head_repository) + "}" + std::string(more) +
           "},\"repository\":{\"id\":1,\"name\":\"app\",\"owner\":{\"login\":\"acme\",\"id\":9}}}";
  }
  void send_run(std::string_view event, int64_t head_repository, std::string_view more = "") {
    CHECK_EQ(deliver(delivery(run_body(event, head_repository, more), "workflow_run")).status, 202);
  }
  access::JobClaims claims_of(const std::string& token) {
    auto claims = job_tokens.verify(token, clock.now());
    REQUIRE(claims.has_value());
    return std::move(*claims);
  }
  access::JobClaims lease(const TestAgent& agent) {
    const Answer answer = poll(agent);
    REQUIRE_EQ(answer.status, 200);
    const auto& assignment = answer.body.at("assignments").as_array().at(0);
    return claims_of(std::string(assignment.at("job_token").as_string()));
  }
  // The one ref that the claims allow to write.
  static std::string written(const access::JobClaims& claims) {
    std::string ref;
    for (const access::CacheScope& scope : claims.cache_scopes) {
      if (!scope.write) continue;
      CHECK(ref.empty());
      ref = scope.ref;
    }
    return ref;
  }
  static bool reads(const access::JobClaims& claims, std::string_view ref) {
    return std::any_of(claims.cache_scopes.begin(), claims.cache_scopes.end(),
                       [&](const access::CacheScope& s) { return s.ref == ref && s.read; });
  }
};

}  // namespace

TEST_CASE("who can push to a branch may write its cache") {
  for (const char* event : {"push", "schedule", "workflow_dispatch", "merge_group"}) {
    const Standing standing = judge_run(run_of(event, "topic"));
    CHECK_EQ(standing.trust, Trust::branch);
    CHECK_EQ(standing.cache_ref, "refs/heads/topic");
  }
}

TEST_CASE("events that strangers can cause write for their own run alone") {
  for (const char* event : {"pull_request_target", "issue_comment", "workflow_run", "fork", ""}) {
    const Standing standing = judge_run(run_of(event));
    CHECK_EQ(standing.trust, Trust::unproven);
    CHECK_EQ(standing.cache_ref, "refs/nimbus/run/5");
  }
}

TEST_CASE("a pull request writes for itself and reads its base") {
  WorkflowRun run = run_of("pull_request", "topic");
  run.pull_request = 7;
  run.base_branch = "release";
  const Standing standing = judge_run(run);
  CHECK_EQ(standing.trust, Trust::pull_request);
  CHECK_EQ(standing.cache_ref, "refs/pull/7/merge");
  CHECK_EQ(standing.base_ref, "refs/heads/release");
}

TEST_CASE("a fork's branch called main is not main, whatever the event") {
  for (const char* event : {"pull_request", "push", "schedule", "pull_request_target"}) {
    WorkflowRun run = run_of(event);
    run.head_repository_id = 2;
    const Standing standing = judge_run(run);
    CHECK_EQ(standing.trust, Trust::fork);
    CHECK(access::is_isolated_ref(standing.cache_ref));
  }
  WorkflowRun gone = run_of("push");
  gone.head_repository_id = std::nullopt;
  CHECK(access::is_isolated_ref(judge_run(gone).cache_ref));
}

TEST_CASE("GitHub's own example of a workflow_run is read") {
  const auto run = parse_workflow_run(fixture_body("workflow_run.completed.json"));
  REQUIRE(run);
  REQUIRE(run->has_value());
  CHECK_EQ((*run)->run_id, 1589141559);
  CHECK_EQ((*run)->event, "workflow_dispatch");
  CHECK_EQ((*run)->head_branch, "main");
  CHECK_EQ((*run)->head_repository_id, 396980812);
}

TEST_CASE("a workflow_run that does not say which run it is teaches nothing") {
  CHECK_FALSE(parse_workflow_run(R"({"workflow_run":{"id":-1}})")->has_value());
  CHECK_FALSE(parse_workflow_run("{}")->has_value());
  CHECK_FALSE(parse_workflow_run("[]").has_value());
}

TEST_CASE_FIXTURE(Standings, "a job whose run nobody explained writes to a scope of its own") {
  const TestAgent agent = enroll();
  send("queued");
  const auto claims = lease(agent);
  CHECK_EQ(written(claims), "refs/nimbus/run/5");
  CHECK_EQ(claims.trust, Trust::unproven);
  CHECK(reads(claims, "refs/heads/main"));
}

TEST_CASE_FIXTURE(Standings, "a job of a push writes to its branch") {
  const TestAgent agent = enroll();
  send_run("push", 1);  // before the job, and before its owner is an org
  send("queued");
  const auto claims = lease(agent);
  CHECK_EQ(written(claims), "refs/heads/main");
  CHECK_EQ(claims.trust, Trust::branch);
  CHECK_EQ(claims.event, "push");
}

TEST_CASE_FIXTURE(Standings, "a job of a fork's pull request cannot write to the default branch") {
  const TestAgent agent = enroll();
  send("queued");
  send_run("pull_request", 2);
  const auto claims = lease(agent);
  CHECK_EQ(written(claims), "refs/nimbus/fork/2/main");
  CHECK_EQ(claims.trust, Trust::fork);
  CHECK(reads(claims, "refs/heads/main"));
}

TEST_CASE_FIXTURE(Standings, "what is learnt later holds from the next renewal") {
  const TestAgent agent = enroll();
  send("queued");
  const auto early = lease(agent);
  CHECK_EQ(written(early), "refs/nimbus/run/5");
  send_run("push", 1);
  const auto later = claims_of(renew(agent, early.job.value, early.fence.value).text("job_token"));
  CHECK_EQ(written(later), "refs/heads/main");
}

TEST_CASE_FIXTURE(Standings, "an operator's rerun of a fork's job stays a fork's job") {
  const TestAgent agent = enroll();
  send("queued");
  send_run("pull_request", 2);
  auto claims = lease(agent);
  for (int round = 0; round < 2; ++round) {
    const std::string job = std::to_string(claims.job.value);
    report(agent, claims.job.value, claims.fence.value, 1, "started");
    report(agent, claims.job.value, claims.fence.value, 2, "finished",
           ",\"result\":\"failed\",\"exit_code\":1");
    REQUIRE_EQ(call("POST", "/api/v1/jobs/" + job + "/rerun", admin).status, 202);
    claims = lease(agent);
    CHECK_EQ(written(claims), "refs/nimbus/fork/2/main");
    CHECK_EQ(claims.trust, Trust::fork);
  }
}

TEST_CASE_FIXTURE(Standings, "an operator's own job writes to the ref it was given") {
  const TestAgent agent = enroll();
  queue_job("acme", ",\"ref\":\"refs/heads/main\"");
  const auto claims = lease(agent);
  CHECK_EQ(written(claims), "refs/heads/main");
  CHECK_EQ(claims.trust, Trust::native);
}

TEST_CASE_FIXTURE(Standings, "runs are forgotten with their deliveries") {
  send_run("push", 1);
  std::function<Result<int64_t>(db::Transaction&)> forget = [this](db::Transaction& tx) {
    return forget_runs(tx, clock.now(), 10);
  };
  CHECK_EQ(must(database->write<int64_t>(forget)), 0);
  clock.advance(kDeliveriesKept + seconds(1));
  CHECK_EQ(must(database->write<int64_t>(forget)), 1);
}
