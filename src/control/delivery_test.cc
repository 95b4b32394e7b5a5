// What deliveries about one job do, in whatever order they come.
#include "control/delivery.h"

#include <algorithm>
#include <set>

#include "control/control_fixture.h"

using namespace nimbus;
using namespace nimbus::control;

namespace {

struct Deliveries : ControlFixture {
  // The one job there is.
  Answer only_job() {
    const Answer list = get("/api/v1/jobs");
    REQUIRE_EQ(list.body.at("items").as_array().size(), 1);
    return job(list.body.at("items").as_array().front().at("id").as_int64());
  }
  std::vector<std::string> states(const Answer& job) {
    std::vector<std::string> names;
    for (const auto& transition : job.body.at("transitions").as_array()) {
      names.emplace_back(transition.at("state").as_string());
    }
    return names;
  }
};

std::string concluded(const std::string& conclusion) {
  return ",\"conclusion\":\"" + conclusion + "\"";
}

}  // namespace

TEST_CASE_FIXTURE(Deliveries,
                  "in whatever order its deliveries come, a job is one and ends as GitHub says") {
  std::vector<std::string> actions = {"completed", "in_progress", "queued", "waiting"};
  std::sort(actions.begin(), actions.end());
  int64_t github_job = 1000;
  do {
    ++github_job;
    std::set<int64_t> jobs;
    for (const std::string& action : actions) {
      const Answer answer = send(action, github_job);
      CHECK_EQ(answer.status, 202);
      jobs.insert(answer.number("job"));
    }
    INFO(actions[0], " ", actions[1], " ", actions[2], " ", actions[3]);
    CHECK_EQ(jobs.size(), 1);
    CHECK_EQ(state(*jobs.begin()), "succeeded");
  } while (std::next_permutation(actions.begin(), actions.end()));
  CHECK(assigned(poll(enroll(), 100)).empty());
}

TEST_CASE_FIXTURE(Deliveries,
                  "every prefix of every order leaves the state of the furthest action") {
  const std::map<std::string, std::string> states = {
      {"queued", "queued"}, {"in_progress", "running"}, {"completed", "succeeded"}};
  const std::vector<std::string> ranks = {"queued", "in_progress", "completed"};
  std::vector<std::string> actions = ranks;
  std::sort(actions.begin(), actions.end());
  int64_t github_job = 2000;
  do {
    ++github_job;
    size_t furthest = 0;
    for (const std::string& action : actions) {
      furthest =
          std::max<size_t>(furthest, std::find(ranks.begin(), ranks.end(), action) - ranks.begin());
      const int64_t id = send(action, github_job).number("job");
      CHECK_EQ(state(id), states.at(ranks[furthest]));
    }
  } while (std::next_permutation(actions.begin(), actions.end()));
}

TEST_CASE_FIXTURE(Deliveries, "completed before queued gives a closed job that is never run") {
  CHECK_EQ(send("completed").text("result"), "updated");
  CHECK_EQ(send("queued").text("result"), "updated");
  const Answer job = only_job();
  CHECK_EQ(job.text("state"), "succeeded");
  CHECK_EQ(states(job), std::vector<std::string>{"succeeded"});
  CHECK(assigned(poll(enroll())).empty());
}

TEST_CASE_FIXTURE(Deliveries, "a job that waits for an approval is held until it is queued") {
  const TestAgent agent = enroll();
  CHECK_EQ(send("waiting").text("result"), "held");
  CHECK_EQ(only_job().text("state"), "queued");
  CHECK_EQ(only_job().text("reason"), "held: waiting for approval on GitHub");
  CHECK(assigned(poll(agent)).empty());
  restart();
  CHECK(assigned(poll(agent)).empty());
  CHECK_EQ(send("queued").text("result"), "queued");
  CHECK_EQ(only_job().text("reason"), "");
  CHECK_EQ(assigned(poll(agent)).size(), 1);
}

TEST_CASE_FIXTURE(Deliveries, "an action queued with status waiting is held as well") {
  std::string body = event("queued");
  body.replace(body.find("\"status\":\"queued\""), 17, "\"status\":\"waiting\"");
  CHECK_EQ(deliver(delivery(body)).text("result"), "held");
}

TEST_CASE_FIXTURE(Deliveries, "a job cancelled on GitHub while it is queued is not run") {
  send("queued");
  CHECK_EQ(send("completed", 100, concluded("cancelled")).text("result"), "updated");
  CHECK_EQ(only_job().text("state"), "cancelled");
  CHECK(assigned(poll(enroll())).empty());
}

TEST_CASE_FIXTURE(Deliveries, "a job that another runner takes is not run by ours") {
  send("queued");
  CHECK_EQ(send("in_progress").text("result"), "updated");
  CHECK_EQ(only_job().text("state"), "running");
  CHECK_EQ(only_job().text("reason"), "taken by runner r1");
  CHECK(assigned(poll(enroll())).empty());
  send("completed", 100, concluded("failure"));
  CHECK_EQ(only_job().text("state"), "failed");
  CHECK_EQ(states(only_job()), std::vector<std::string>{"queued", "leased", "running", "failed"});
}

TEST_CASE_FIXTURE(Deliveries, "a job that another runner took and that never ends is given up") {
  const int64_t id = send("in_progress").number("job");
  clock.advance(kForsakenAfter);
  sweep();
  CHECK_EQ(state(id), "running");
  clock.advance(kHousekeepEvery);
  sweep();
  CHECK_EQ(state(id), "lost");
}

TEST_CASE_FIXTURE(Deliveries, "a job that we run is told to stop when GitHub says cancelled") {
  const TestAgent agent = enroll();
  const int64_t id = send("queued").number("job");
  REQUIRE_EQ(assigned(poll(agent)).size(), 1);
  CHECK_EQ(report(agent, id, 1, 1, "started").status, 202);
  send("in_progress");
  CHECK_FALSE(renew(agent, id, 1).body.at("cancel").as_bool());
  send("completed", 100, concluded("cancelled"));
  CHECK_EQ(state(id), "running");
  CHECK(renew(agent, id, 1).body.at("cancel").as_bool());
  CHECK_EQ(report(agent, id, 1, 2, "finished", ",\"result\":\"cancelled\"").status, 202);
  CHECK_EQ(state(id), "cancelled");
}

TEST_CASE_FIXTURE(Deliveries,
                  "a job that we run ends by its agent's report, GitHub's conclusion beside it") {
  const TestAgent agent = enroll();
  const int64_t id = send("queued").number("job");
  poll(agent);
  report(agent, id, 1, 1, "started");
  send("completed", 100, concluded("success"));
  CHECK_EQ(state(id), "running");
  CHECK_EQ(job(id).text("reason"), "GitHub concluded: success (runner r1)");
  CHECK_FALSE(renew(agent, id, 1).body.at("cancel").as_bool());
  report(agent, id, 1, 2, "finished",
         ",\"result\":\"failed\",\"exit_code\":7,\"reason\":\"exit code 7\"");
  CHECK_EQ(state(id), "failed");
  CHECK_EQ(job(id).number("exit_code"), 7);
}

TEST_CASE_FIXTURE(Deliveries, "GitHub's conclusions become states") {
  const std::map<std::string, std::string> states = {
      {"success", "succeeded"},      {"neutral", "succeeded"},      {"failure", "failed"},
      {"cancelled", "cancelled"},    {"skipped", "cancelled"},      {"timed_out", "timed_out"},
      {"action_required", "failed"}, {"startup_failure", "failed"}, {"new_word", "failed"}};
  int64_t github_job = 1;
  for (const auto& [conclusion, expected] : states) {
    const int64_t id = send("completed", ++github_job, concluded(conclusion)).number("job");
    CHECK_EQ(state(id), expected);
  }
}

TEST_CASE_FIXTURE(Deliveries, "another attempt of a run is another job") {
  std::string again = event("queued");
  again.replace(again.find("\"run_attempt\":1"), 15, "\"run_attempt\":2");
  const int64_t first = send("queued").number("job");
  CHECK_NE(deliver(delivery(again)).number("job"), first);
}

TEST_CASE_FIXTURE(Deliveries, "a job for other machines is ignored at every step") {
  for (const char* action : {"waiting", "queued", "in_progress", "completed"}) {
    const Answer answer = send(action, 100, "", "\"ubuntu-latest\"");
    CHECK_EQ(answer.text("result"), "ignored");
    CHECK_FALSE(answer.body.contains("job"));
  }
  CHECK_EQ(get("/api/v1/jobs").body.at("items").as_array().size(), 0);
}

TEST_CASE_FIXTURE(Deliveries, "a job whose profile was removed meanwhile still ends") {
  const int64_t id = send("queued").number("job");
  options.webhook.profiles.clear();
  restart();
  send("completed", 100, concluded("cancelled"));
  CHECK_EQ(state(id), "cancelled");
}

TEST_CASE_FIXTURE(Deliveries, "labels become metadata, environment and size") {
  const int64_t id = send("queued", 100, "",
                          "\"nimbus\",\"nimbus-4cpu-8gb\",\"param:suite=smoke\",\"meta:team=x\"")
                         .number("job");
  const Answer job = this->job(id);
  CHECK_EQ(boost::json::serialize(job.body.at("metadata")), R"({"suite":"smoke","team":"x"})");
  CHECK_EQ(boost::json::serialize(job.body.at("env")), R"({"NIMBUS_PARAM_SUITE":"smoke"})");
  CHECK_EQ(job.body.at("resources").at("cpus").as_int64(), 4);
  CHECK_EQ(get("/api/v1/jobs?metadata=suite=smoke").body.at("items").as_array().size(), 1);
  CHECK_EQ(get("/api/v1/jobs?metadata=suite=smok").body.at("items").as_array().size(), 0);
  CHECK_EQ(get("/api/v1/jobs?label=NIMBUS&metadata=team=x").body.at("items").as_array().size(), 1);
}

TEST_CASE_FIXTURE(Deliveries, "an owner that is renamed keeps its org") {
  deliver(delivery(event("queued", 1, "", "\"nimbus\"", "Acme", 9)));
  const int64_t id =
      deliver(delivery(event("queued", 2, "", "\"nimbus\"", "acme-inc", 9))).number("job");
  CHECK_EQ(job(id).text("org"), "Acme");
}

TEST_CASE_FIXTURE(Deliveries, "who takes over an owner's old name does not get its org") {
  deliver(delivery(event("queued", 1, "", "\"nimbus\"", "acme", 9)));
  const int64_t id =
      deliver(delivery(event("queued", 2, "", "\"nimbus\"", "ACME", 10))).number("job");
  CHECK_EQ(job(id).text("org"), "ACME-10");
  restart();
  CHECK_EQ(job(deliver(delivery(event("queued", 3, "", "\"nimbus\"", "ACME", 10))).number("job"))
               .text("org"),
           "ACME-10");
}

TEST_CASE_FIXTURE(Deliveries, "what is accepted survives a restart") {
  const int64_t id = send("queued").number("job");
  restart();
  CHECK_EQ(state(id), "queued");
  CHECK_EQ(assigned(poll(enroll())), std::vector<int64_t>{id});
}
