// What belongs to control as a whole: health, metrics, events, and that its API is described.
#include "control/control.h"

#include "api/openapi.h"
#include "control/control_fixture.h"

using namespace nimbus;
using namespace nimbus::control;

namespace {

using Whole = ControlFixture;

// Takes what a streamed answer writes; gone after `events` of them.
class EventReader final : public net::BodyWriter {
 public:
  explicit EventReader(size_t events) : events_(events) {}
  Task<Result<void>> write(std::string_view bytes) override {
    text_ += bytes;
    for (size_t at = bytes.find("event: "); at != bytes.npos; at = bytes.find("event: ", at + 1))
      ++seen_;
    co_return Result<void>();
  }
  bool peer_gone() const override { return seen_ >= events_; }
  const std::string& text() const { return text_; }

 private:
  size_t events_;
  size_t seen_ = 0;
  std::string text_;
};

Task<void> read_events(net::BodyStream stream, EventReader& reader) { co_await stream(reader); }

}  // namespace

TEST_CASE_FIXTURE(Whole,
                  "every route is described, and every described one of control's is served") {
  CHECK_EQ(api::undocumented_routes(router->routes()), std::vector<std::string>{});
  const std::vector<std::string_view> tags = {"intake", "jobs",   "agents",
                                              "orgs",   "tokens", "health"};
  CHECK_EQ(api::unserved_routes(router->routes(), tags), std::vector<std::string>{});
}

TEST_CASE_FIXTURE(Whole, "lists of agents, tokens, orgs and the audit log are as described") {
  queue_job();
  enroll();
  CHECK_EQ(api::schema_faults("AgentList", get("/api/v1/agents").body), std::vector<std::string>{});
  CHECK_EQ(api::schema_faults("TokenList", get("/api/v1/tokens").body), std::vector<std::string>{});
  CHECK_EQ(api::schema_faults("OrgList", get("/api/v1/orgs").body), std::vector<std::string>{});
  CHECK_EQ(api::schema_faults("Org", get("/api/v1/orgs/acme").body), std::vector<std::string>{});
  CHECK_EQ(api::schema_faults("AuditList", get("/api/v1/audit").body), std::vector<std::string>{});
}

TEST_CASE_FIXTURE(
    Whole, "a part that starts makes the whole degraded, a required one that is down unavailable") {
  Answer ready = get("/readyz");
  CHECK_EQ(ready.status, 200);
  CHECK_EQ(ready.text("status"), "ready");
  PartHealth telemetry{PartStatus::starting, "waiting for its engine"};
  control->health().add("telemetry", false, [&] { return telemetry; });
  ready = get("/readyz");
  CHECK_EQ(ready.status, 200);
  CHECK_EQ(ready.text("status"), "degraded");
  CHECK(api::schema_faults("Health", ready.body).empty());
  telemetry.status = PartStatus::unavailable;
  CHECK_EQ(get("/readyz").status, 200);
  control->health().add("disk", true, [] { return PartHealth{PartStatus::unavailable, "full"}; });
  ready = get("/readyz");
  CHECK_EQ(ready.status, 503);
  CHECK_EQ(ready.text("status"), "unavailable");
  CHECK(ready.headers.find("Retry-After"));
  CHECK_EQ(call("GET", "/healthz", "").status, 200);
}

TEST_CASE_FIXTURE(Whole, "metrics are not for those whom a proxy on this host forwards") {
  for (const char* name : {"Forwarded", "X-Forwarded-For", "X-Real-IP"}) {
    net::Request made = request("GET", "/metrics");
    made.peer_is_loopback = true;
    made.headers.set(name, "127.0.0.1");
    CHECK_EQ(serve(*router, std::move(made)).status, 401);
  }
}

TEST_CASE_FIXTURE(Whole, "metrics are for loopback or the token's holder") {
  const auto ask = [this](const std::string& bearer, bool loopback) {
    net::Request made = request("GET", "/metrics", bearer);
    made.peer_is_loopback = loopback;
    return serve(*router, std::move(made)).status;
  };
  CHECK_EQ(ask("", true), 200);
  CHECK_EQ(ask("", false), 401);
  CHECK_EQ(ask("secret", false), 401);
  options.metrics_token = Secret("secret");
  restart();
  CHECK_EQ(ask("secret", false), 200);
  CHECK_EQ(ask("other", false), 401);
  CHECK_EQ(ask("other", true), 401);
  CHECK_EQ(ask("secret", true), 200);
  CHECK_EQ(ask(admin, false), 200);
  CHECK_EQ(ask(token(access::Role::admin, "acme"), false), 403);
  CHECK_EQ(ask(enroll().credential, false), 403);
  CHECK_EQ(ask("", true), 200);
}

TEST_CASE_FIXTURE(Whole, "metrics of control are there by name") {
  const TestAgent agent = enroll();
  const int64_t id = queue_job();
  poll(agent);
  renew(agent, id, 1);
  renew(agent, id, 9);
  pass(61);
  const std::string text = metrics->expose();
  for (const char* line :
       {"nimbus_job_queue_wait_seconds_count 1\n", "nimbus_lease_renewals_total 1\n",
        "nimbus_lease_expiries_total 1\n", "nimbus_stale_fences_total 1\n",
        "nimbus_leases_granted_total 1\n", "nimbus_agents{state=\"online\"}"}) {
    CHECK_MESSAGE(text.find(line) != text.npos, line);
  }
}

TEST_CASE_FIXTURE(Whole, "changes of jobs are streamed to those who may see them") {
  net::Response mine =
      serve(*router, request("GET", "/api/v1/events", token(access::Role::viewer, "acme")));
  REQUIRE_EQ(mine.status, 200);
  CHECK_EQ(mine.headers.find("Content-Type"), "text/event-stream");
  queue_job("other");
  queue_job("acme");
  EventReader reader(1);
  loop.spawn(read_events(mine.stream, reader), "reader");
  auto stopped = std::make_shared<bool>(false);
  control->start();
  Task<void> stop = [](Control& whole, net::Loop& loop, EventReader& reader) -> Task<void> {
    while (!reader.peer_gone()) co_await loop.sleep(std::chrono::milliseconds(1));
    whole.stop();
  }(*control, loop, reader);
  loop.spawn(std::move(stop), "stop");
  loop.run();
  const size_t at = reader.text().find("data: ");
  REQUIRE_NE(at, std::string::npos);
  const auto event =
      parse_json_object(reader.text().substr(at + 6, reader.text().find('\n', at) - at - 6));
  REQUIRE(event);
  CHECK(api::schema_faults("Job", *event).empty());
  CHECK_EQ(event->at("org").as_string(), "acme");
  CHECK_NE(reader.text().find("event: job\n"), std::string::npos);
}

TEST_CASE_FIXTURE(Whole, "a reader of events who fell behind or comes back is told to list again") {
  EventBus& events = control->board().events();
  const auto subscription = events.subscribe(access::OrgScope::all());
  for (size_t i = 0; i <= kQueuedEventsMax; ++i) events.publish("job", "acme", "{}");
  const auto taken = run(subscription->take(Duration(0)));
  REQUIRE_EQ(taken.size(), 1);
  CHECK_EQ(taken[0].name, "resync");
  net::Request again = request("GET", "/api/v1/events", admin);
  again.headers.set("Last-Event-ID", "1");
  const net::Response response = serve(*router, std::move(again));
  EventReader reader(1);
  loop.spawn(read_events(response.stream, reader), "reader");
  loop.run();
  CHECK_NE(reader.text().find("event: resync\n"), std::string::npos);
}

TEST_CASE_FIXTURE(Whole, "an agent's events go to those who see the whole installation") {
  EventBus& events = control->board().events();
  const auto all = events.subscribe(access::OrgScope::all());
  const auto one = events.subscribe(access::OrgScope::one("acme"));
  enroll();
  const auto told = run(all->take(Duration(0)));
  REQUIRE_EQ(told.size(), 1);
  CHECK_EQ(told[0].name, "agent");
  CHECK(api::schema_faults("Agent", boost::json::parse(*told[0].data)).empty());
  CHECK(run(one->take(Duration(0))).empty());
}
