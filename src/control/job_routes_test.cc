#include "control/job_routes.h"

#include "api/openapi.h"
#include "control/control_fixture.h"
#include "control/job_orders.h"

using namespace nimbus;
using namespace nimbus::control;

namespace {

struct Jobs : ControlFixture {
  int create(const std::string& body) { return call("POST", "/api/v1/jobs", admin, body).status; }
  std::vector<int64_t> ids(const std::string& query) {
    const Answer list = get("/api/v1/jobs" + query);
    REQUIRE_EQ(list.status, 200);
    CHECK(api::schema_faults("JobList", list.body).empty());
    std::vector<int64_t> found;
    for (const auto& item : list.body.at("items").as_array())
      found.push_back(item.at("id").as_int64());
    return found;
  }
  Answer act(int64_t job, const std::string& verb, const std::string& bearer) {
    return call("POST", "/api/v1/jobs/" + std::to_string(job) + "/" + verb, bearer);
  }
};

std::string with(const std::string& field) {
  return "{\"org\":\"acme\",\"repo\":\"app\",\"command\":[\"true\"]," + field + "}";
}

}  // namespace

TEST_CASE_FIXTURE(Jobs, "a native job is queued with all that was asked for") {
  const Answer made = call("POST", "/api/v1/jobs", admin, R"({"org":"acme","repo":"app",
    "ref":"refs/heads/main","sha":"0123456789012345678901234567890123456789","image":"nimbus/eval",
    "command":["sh","-c","echo \"hé\"\n"],"env":{"A":"1"},"timeout_s":60,
    "resources":{"cpus":4,"memory_mb":512},"labels":["Fast"],"metadata":{"suite":"x"},"retries":0})");
  REQUIRE_EQ(made.status, 201);
  CHECK(api::schema_faults("JobCreated", made.body).empty());
  CHECK_EQ(made.headers.find("Location"), "/api/v1/jobs/1");
  const Answer job = this->job(made.number("id"));
  CHECK(api::schema_faults("JobDetail", job.body).empty());
  CHECK_EQ(job.body.at("command").as_array()[2].as_string(), "echo \"hé\"\n");
  CHECK_EQ(job.body.at("resources").at("cpus").as_int64(), 4);
  CHECK_EQ(job.body.at("resources").at("disk_mb").as_int64(), model::Resources{}.disk_mb);
  CHECK_EQ(job.number("tries_max"), 1);
  CHECK(job.body.at("github").is_null());
  CHECK_EQ(boost::json::serialize(job.body.at("transitions")),
           R"([{"state":"queued","fence":0,"at":"2026-03-01T12:00:00Z","reason":""}])");
}

TEST_CASE_FIXTURE(Jobs, "a request that is wrong is refused and names the field") {
  const std::vector<std::string> wrong = {
      "",
      "[]",
      "{}",
      R"({"org":"acme","repo":"app"})",
      R"({"org":"acme","repo":"app","command":[]})",
      R"({"org":"../x","repo":"app","command":["a"]})",
      R"({"org":"acme","repo":"..","command":["a"]})",
      R"({"org":"acme","repo":"app","command":[""]})",
      R"({"org":"acme","repo":"app","command":[1]})",
      R"({"org":"acme","repo":"app","command":["a\u0000"]})",
      with(R"("commandd":[])"),
      with(R"("timeout_s":0)"),
      with(R"("timeout_s":432001)"),
      with(R"("timeout_s":"1")"),
      with(R"("resources":{"cpus":0})"),
      with(R"("resources":{"cpus":65})"),
      with(R"("resources":{"gpus":1})"),
      with(R"("resources":[])"),
      with(R"("retries":11)"),
      with(R"("env":{"1A":"x"})"),
      with(R"("env":{"A=B":"x"})"),
      with(R"("env":{"A":1})"),
      with(R"("env":{"A":"\u0000"})"),
      with(R"("ref":"a\nb")"),
      with(R"("ref":"")"),
      with(R"("sha":"abc")"),
      with(R"("image":"")"),
      with(R"("image":"Acme/Tool")"),
      with(R"("image":"a b")"),
      with(R"("image":"a:")"),
      with(R"("image":"a@sha256:1")"),
      with(R"("env":{"NIMBUS_JOB_ID":"7"})"),
      with(R"("labels":[""])"),
      with(R"("metadata":{"a b":"x"})"),
      with(R"("metadata":{"a":"\n"})"),
      with(R"("env":{"A":")" + std::string(kEnvBytesMax, 'x') + R"("})"),
      with(R"("metadata":{"a":")" + std::string(kMetadataValueBytesMax + 1, 'x') + R"("})")};
  for (const std::string& body : wrong) {
    INFO(body.substr(0, 120));
    const Answer answer = call("POST", "/api/v1/jobs", admin, body);
    CHECK_EQ(answer.status, 400);
    CHECK(api::schema_faults("Problem", answer.body).empty());
  }
  CHECK_EQ(call("POST", "/api/v1/jobs", admin, with(R"("timeout":1)")).text("hint"),
           "did you mean 'timeout_s'?");
  CHECK(ids("").empty());
}

TEST_CASE_FIXTURE(Jobs, "the same idempotency key gives the same job for a day") {
  const auto create = [this](const std::string& body, const std::string& key) {
    net::Request made = request("POST", "/api/v1/jobs", admin, body);
    made.headers.set("Idempotency-Key", key);
    return read(serve(*router, std::move(made)));
  };
  const Answer first = create(with(R"("timeout_s":5)"), "k");
  CHECK_EQ(first.status, 201);
  restart();
  const Answer again = create(with(R"("timeout_s":5)"), "k");
  CHECK_EQ(again.status, 201);
  CHECK_EQ(again.number("id"), first.number("id"));
  CHECK_EQ(again.headers.find("Idempotent-Replayed"), "true");
  CHECK_EQ(create(with(R"("timeout_s":6)"), "k").status, 409);
  CHECK_NE(create(with(R"("timeout_s":5)"), "k2").number("id"), first.number("id"));
  CHECK_EQ(create(with(R"("timeout_s":5)"), "").status, 400);
  CHECK_EQ(create(with(R"("timeout_s":5)"), std::string(256, 'k')).status, 400);
  clock.advance(kIdempotencyKept + seconds(1));
  CHECK_NE(create(with(R"("timeout_s":6)"), "k").number("id"), first.number("id"));
}

TEST_CASE_FIXTURE(Jobs, "jobs are filtered by org, repo, state, label, metadata and time") {
  const int64_t a = queue_job("acme", R"(,"labels":["Fast","big"],"metadata":{"suite":"x"})");
  clock.advance(seconds(10));
  const int64_t b = queue_job("Other", R"(,"labels":["fast"])");
  CHECK_EQ(ids(""), std::vector<int64_t>{b, a});
  CHECK_EQ(ids("?org=ACME"), std::vector<int64_t>{a});
  CHECK_EQ(ids("?repo=App"), std::vector<int64_t>{b, a});
  CHECK_EQ(ids("?repo=none"), std::vector<int64_t>{});
  CHECK_EQ(ids("?label=FAST"), std::vector<int64_t>{b, a});
  CHECK_EQ(ids("?label=fast&label=big"), std::vector<int64_t>{a});
  CHECK_EQ(ids("?metadata=suite=x&org=acme&label=fast"), std::vector<int64_t>{a});
  CHECK_EQ(ids("?since=2026-03-01T12:00:05Z"), std::vector<int64_t>{b});
  CHECK_EQ(ids("?until=2026-03-01T12:00:05Z"), std::vector<int64_t>{a});
  act(a, "cancel", admin);
  CHECK_EQ(ids("?state=queued"), std::vector<int64_t>{b});
  CHECK_EQ(ids("?state=queued,cancelled"), std::vector<int64_t>{b, a});
  for (const char* query : {"?state=ready", "?since=today", "?metadata=suite", "?limit=0",
                            "?limit=1001", "?limit=x", "?cursor=x"}) {
    CHECK_EQ(get("/api/v1/jobs" + std::string(query)).status, 400);
  }
}

TEST_CASE_FIXTURE(Jobs,
                  "a list is paged without gaps or repetition, whatever is queued meanwhile") {
  for (int i = 0; i < 7; ++i) queue_job("acme", R"(,"labels":["l"])");
  for (const std::string& filter :
       {std::string(), std::string("&label=l"), std::string("&org=acme")}) {
    std::vector<int64_t> seen;
    std::string cursor;
    do {
      const Answer page =
          get("/api/v1/jobs?limit=3" + filter + (cursor.empty() ? "" : "&cursor=" + cursor));
      for (const auto& item : page.body.at("items").as_array())
        seen.push_back(item.at("id").as_int64());
      const auto& next = page.body.at("next_cursor");
      cursor = next.is_null() ? "" : std::string(next.as_string());
      queue_job();
    } while (!cursor.empty());
    CHECK_GE(seen.size(), 7);
    CHECK(std::is_sorted(seen.rbegin(), seen.rend()));
    CHECK_EQ(seen.back(), 1);
  }
}

TEST_CASE_FIXTURE(Jobs, "an org's jobs exist for that org alone") {
  const int64_t mine = queue_job("acme");
  const int64_t theirs = queue_job("other");
  const std::string viewer = token(access::Role::viewer, "acme");
  const std::string operator_ = token(access::Role::operator_, "acme");
  const auto path = [](int64_t id) { return "/api/v1/jobs/" + std::to_string(id); };
  CHECK_EQ(call("GET", path(mine), viewer).status, 200);
  CHECK_EQ(call("GET", path(theirs), viewer).status, 404);
  CHECK_EQ(call("GET", path(theirs), viewer).body, call("GET", path(999), viewer).body);
  CHECK_EQ(call("GET", "/api/v1/jobs", viewer).body.at("items").as_array().size(), 1);
  CHECK_EQ(call("GET", "/api/v1/jobs?org=other", viewer).body.at("items").as_array().size(), 0);
  CHECK_EQ(act(mine, "cancel", viewer).status, 403);
  CHECK_EQ(act(theirs, "cancel", operator_).status, 404);
  CHECK_EQ(act(theirs, "rerun", operator_).status, 404);
  CHECK_EQ(call("POST", "/api/v1/jobs", viewer, with(R"("timeout_s":1)")).status, 403);
  CHECK_EQ(
      call("POST", "/api/v1/jobs", operator_, R"({"org":"other","repo":"app","command":["true"]})")
          .status,
      404);
  CHECK_EQ(call("GET", "/api/v1/jobs", "").status, 401);
  CHECK_EQ(call("GET", path(mine), "wrong").status, 401);
  CHECK_EQ(call("GET", "/api/v1/jobs/abc", viewer).status, 404);
}

TEST_CASE_FIXTURE(Jobs, "a queued job is cancelled at once, a running one is told to stop") {
  const TestAgent agent = enroll();
  const int64_t queued = queue_job();
  const Answer cancelled = act(queued, "cancel", admin);
  CHECK_EQ(cancelled.status, 202);
  CHECK(api::schema_faults("Job", cancelled.body).empty());
  CHECK_EQ(cancelled.text("state"), "cancelled");
  CHECK_EQ(cancelled.text("reason"), "cancelled by test");
  CHECK_EQ(act(queued, "cancel", admin).status, 202);
  const int64_t running = queue_job();
  poll(agent);
  CHECK_EQ(act(running, "cancel", admin).text("state"), "leased");
  CHECK(job(running).body.at("cancel_requested").as_bool());
  CHECK(renew(agent, running, 1).body.at("cancel").as_bool());
  report(agent, running, 1, 1, "finished", R"(,"result":"succeeded")");
  CHECK_EQ(act(running, "cancel", admin).status, 409);
}

TEST_CASE_FIXTURE(Jobs, "a rerun is a new job that remembers the old one") {
  const TestAgent agent = enroll();
  const int64_t first = send("queued", 100, "", "\"nimbus\",\"param:suite=s\"").number("job");
  CHECK_EQ(act(first, "rerun", admin).status, 409);
  poll(agent);
  report(agent, first, 1, 1, "finished", R"(,"result":"failed","exit_code":1)");
  const Answer again = act(first, "rerun", admin);
  CHECK_EQ(again.status, 202);
  const Answer job = this->job(again.number("id"));
  CHECK_EQ(job.number("rerun_of"), first);
  CHECK_EQ(job.text("state"), "queued");
  CHECK(job.body.at("github").is_null());
  CHECK_EQ(boost::json::serialize(job.body.at("env")), R"({"NIMBUS_PARAM_SUITE":"s"})");
  CHECK_EQ(ids("?metadata=suite=s").size(), 2);
  CHECK_EQ(assigned(poll(agent)), std::vector<int64_t>{again.number("id")});
}

TEST_CASE_FIXTURE(Jobs, "a job's number is never used again") {
  const int64_t last = queue_job();
  REQUIRE(database
              ->write_now([](db::Transaction& tx) -> Result<void> {
                TRY(tx.run("DELETE FROM jobs"));
                return {};
              })
              .has_value());
  CHECK_GT(queue_job(), last);
}

TEST_CASE_FIXTURE(Jobs, "jobs are counted by state, and the counts survive a restart") {
  const TestAgent agent = enroll();
  for (int i = 0; i < 3; ++i) queue_job();
  poll(agent);
  report(agent, 1, 1, 1, "finished", R"(,"result":"succeeded")");
  for (int i = 0; i < 2; ++i) {
    const std::string text = metrics->expose();
    CHECK_NE(text.find("nimbus_jobs{state=\"queued\"} 2\n"), text.npos);
    CHECK_NE(text.find("nimbus_jobs{state=\"leased\"} 0\n"), text.npos);
    CHECK_NE(text.find("nimbus_jobs{state=\"succeeded\"} 1\n"), text.npos);
    restart();
  }
}
