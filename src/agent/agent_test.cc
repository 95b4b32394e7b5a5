// The agent against a server, places and machines that a test plays: what it tells whom, and when.
#include "agent/agent.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "agent/fake_control.h"
#include "agent/fake_places.h"
#include "agent/journal.h"
#include "base/log.h"
#include "os/atomic_file.h"
#include "vm/fake_vm.h"

using namespace nimbus;
using namespace nimbus::agent;

namespace {

constexpr Duration kPatience = std::chrono::seconds(20);

// What a guest does once it has its job; a test writes its own.
struct Guest {
  net::Client& client;
  std::string gateway;
  boost::json::object job;
  int64_t seq = 0;

  Task<net::ClientResponse> send(std::string method, std::string path, std::string body = "") {
    net::ClientRequest request;
    request.method = std::move(method);
    request.url = gateway + path;
    request.body = std::move(body);
    request.headers.set("Content-Type", "application/json");
    request.timeout = kPatience * 2;
    auto answer = co_await client.send(std::move(request));
    co_return answer ? std::move(*answer) : net::ClientResponse{};
  }
  Task<int> start() {
    const auto answer = co_await send("POST", "/guest/v1/started", "{}");
    co_return answer.status;
  }
  Task<int> say(std::string text) {
    boost::json::object line{{"ts", 1}, {"seq", ++seq}, {"stream", "stdout"}, {"text", text}};
    std::string body = boost::json::serialize(line) + "\n";
    const auto answer = co_await send("POST", "/guest/v1/lines", std::move(body));
    co_return answer.status;
  }
  Task<int> finish(std::string result, int exit_code, std::string reason = "") {
    boost::json::object body{
        {"result", result}, {"exit_code", exit_code}, {"reason", reason}, {"last_seq", seq}};
    std::string text = boost::json::serialize(body);
    const auto answer = co_await send("POST", "/guest/v1/finished", std::move(text));
    co_return answer.status;
  }
};
using Play = std::function<Task<void>(Guest&)>;

Task<void> succeed(Guest& guest) {
  (void)co_await guest.start();
  (void)co_await guest.say("hello");
  (void)co_await guest.finish("succeeded", 0);
}

struct World {
  net::Loop loop;
  std::string directory;
  FakeControl control{loop};
  std::shared_ptr<vm::FakeHost> host = std::make_shared<vm::FakeHost>();
  std::shared_ptr<FakeHostState> places_state = std::make_shared<FakeHostState>();
  net::Client guest_client{loop};
  Play play = succeed;
  bool guests_are_silent = false;  // they boot and never ask for a job
  AgentOptions options;

  // One life of the agent.
  struct Life {
    explicit Life(World& world) : driver(world.host), places(world.places_state) {}
    vm::FakeDriver driver;
    FakePlaces places;
    Metrics metrics;
    std::unique_ptr<Agent> agent;
    std::optional<Result<void>> outcome;
  };
  std::vector<std::unique_ptr<Life>> lives;

  World() {
    const bool loud = std::getenv("NIMBUS_TEST_LOG") != nullptr;
    configure_log(loud ? LogLevel::debug : LogLevel::error, LogFormat::text);
    char name[] = "/tmp/nimbus-agent-test-XXXXXX";
    directory = ::mkdtemp(name);
    options.server = control.url();
    options.enrollment_token = Secret("enrol-me");
    options.directory = directory;
    options.slots = 1;
    options.warm_shape = {"nimbus/base", 1, 128, 64};
    options.poll_wait = std::chrono::seconds(1);
    options.retry_first = std::chrono::milliseconds(5);
    options.retry_max = std::chrono::milliseconds(20);
    options.cancel_grace = std::chrono::milliseconds(0);
    options.report_hold = std::chrono::milliseconds(0);
  }
  ~World() {
    // A life that the test left behind may still have a call on another thread.
    for (const auto& life : lives) {
      if (!life->outcome) stop(*life);
    }
    lives.clear();
    std::filesystem::remove_all(directory);
  }

  Life& begin_life() {
    auto life = std::make_unique<Life>(*this);
    AgentParts parts{loop,           life->driver,    life->places,
                     system_clock(), system_random(), life->metrics};
    life->driver.on_boot = [this](vm::FakeMachine& machine) {
      loop.spawn(be_guest(machine.spec.name), "guest");
    };
    auto opened = Agent::open(parts, options, [](const std::string& image) -> Result<ImageRoot> {
      if (image != "nimbus/base") return fail(Code::not_found, "no image " + image, "import it");
      return ImageRoot{"/images/base.squashfs", {"FROM_IMAGE=yes"}};
    });
    REQUIRE(opened);
    life->agent = std::move(*opened);
    loop.spawn(live(*life), "agent");
    lives.push_back(std::move(life));
    return *lives.back();
  }
  Task<void> live(Life& life) { life.outcome = co_await life.agent->run(); }

  // Asks for the job as nimbus-guest does, then plays its part; a machine that has ended is silent.
  Task<void> be_guest(std::string name) {
    const int slot = std::stoi(name.substr(5));
    Guest guest{guest_client, "", {}, 0};
    while (host->machines[name]->state == vm::FakeMachine::State::running) {
      guest.gateway = "http://127.0.0.1:" + std::to_string(places_state->port(slot));
      if (guests_are_silent) {
        co_await loop.sleep(std::chrono::milliseconds(2));
        continue;
      }
      const auto answer = co_await guest.send("GET", "/guest/v1/job?wait_s=30");
      if (answer.status == 200) {
        guest.job = parse_json_object(answer.body).value();
        co_await play(guest);
        host->machines[name]->end({vm::Exit::Kind::powered_off, ""});
        co_return;
      }
      co_await loop.sleep(std::chrono::milliseconds(2));
    }
  }

  Task<void> until(std::function<bool()> condition, bool& met) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!(met = condition()) && std::chrono::steady_clock::now() < deadline) {
      co_await loop.sleep(std::chrono::milliseconds(1));
    }
    loop.stop();
  }
  bool wait_until(std::function<bool()> condition) {
    bool met = false;
    loop.spawn(until(std::move(condition), met), "wait");
    loop.run();
    return met;
  }
  bool wait_result(int64_t job, const std::string& result) {
    return wait_until([&] { return control.jobs[job].last_result() == result; });
  }
  void stop(Life& life) {
    life.agent->stop(Duration(0));
    CHECK(wait_until([&] { return life.outcome.has_value(); }));
  }
  size_t machines_alive() const {
    size_t alive = 0;
    for (const auto& [name, machine] : host->machines) {
      alive += machine->state == vm::FakeMachine::State::running;
    }
    return alive;
  }
};

}  // namespace

TEST_CASE("a job runs in a VM of its own and is reported with its fence and its lines") {
  World world;
  world.control.add_job(12).fence = 3;
  auto& life = world.begin_life();
  REQUIRE(world.wait_result(12, "succeeded"));
  const auto& job = world.control.jobs[12];
  CHECK(job.has_event("started"));
  CHECK_EQ(job.text("stdout"), "hello\n");
  CHECK_EQ(job.text("system"), "job succeeded\n");
  CHECK_EQ(job.events.back().at("log_last_seq").as_int64(), 2);
  CHECK_EQ(job.events.back().at("fence").as_int64(), 3);
  world.stop(life);
  CHECK_EQ(world.machines_alive(), 0);
  CHECK_EQ(world.places_state->size(), 0);
}

TEST_CASE("an assignment that is offered twice is one job") {
  World world;
  world.options.slots = 2;
  world.control.add_job(4);
  world.control.waiting.push_back(4);
  auto& life = world.begin_life();
  REQUIRE(world.wait_result(4, "succeeded"));
  world.stop(life);
  CHECK_EQ(world.host->machines.size(), 1);
}

TEST_CASE("a guest is given its whole environment and no credential") {
  World world;
  boost::json::object seen;
  world.play = [&seen](Guest& guest) -> Task<void> {
    seen = guest.job;
    co_await succeed(guest);
  };
  world.control.add_job(7, {{"env", boost::json::object{{"MINE", "1"},
                                                        {"PATH", "/mine"},
                                                        {"NIMBUS_JOB_ID", "8"},
                                                        {"NIMBUS_PARAM_MODEL", "tiny"}}}});
  auto& life = world.begin_life();
  REQUIRE(world.wait_result(7, "succeeded"));
  const auto& env = seen.at("env").as_object();
  CHECK_EQ(env.at("NIMBUS_JOB_ID").as_string(), "7");
  CHECK_EQ(env.at("MINE").as_string(), "1");
  CHECK_EQ(env.at("PATH").as_string(), "/mine");
  CHECK_EQ(env.at("NIMBUS_PARAM_MODEL").as_string(), "tiny");
  CHECK_EQ(env.at("FROM_IMAGE").as_string(), "yes");
  CHECK_EQ(env.at("OTEL_RESOURCE_ATTRIBUTES").as_string(),
           "nimbus.org=acme,nimbus.repo=app,nimbus.job_id=7");
  CHECK_EQ(boost::json::serialize(seen).find("token-7"), std::string::npos);
  world.stop(life);
}

TEST_CASE("a VM kept ready takes a job that fits, and no VM is used twice") {
  World world;
  world.options.warm = 1;
  auto& life = world.begin_life();
  REQUIRE(world.wait_until([&] { return life.agent->status().warm == 1; }));
  world.control.add_job(1);
  REQUIRE(world.wait_result(1, "succeeded"));
  CHECK_FALSE(world.control.jobs[1].has_event("booting"));
  REQUIRE(world.wait_until([&] { return life.agent->status().warm == 1; }));
  world.control.add_job(2);
  REQUIRE(world.wait_result(2, "succeeded"));
  REQUIRE(world.wait_until([&] { return life.agent->status().warm == 1; }));
  CHECK_EQ(world.host->machines.size(), 3);
  world.stop(life);
  CHECK_EQ(world.machines_alive(), 0);
}

TEST_CASE("a job of another size boots its own VM instead of the one kept ready") {
  World world;
  world.options.warm = 1;
  auto& life = world.begin_life();
  REQUIRE(world.wait_until([&] { return life.agent->status().warm == 1; }));
  world.control.add_job(
      1, {{"resources", boost::json::object{{"cpus", 2}, {"memory_mb", 256}, {"disk_mb", 64}}}});
  REQUIRE(world.wait_result(1, "succeeded"));
  CHECK(world.control.jobs[1].has_event("booting"));
  world.stop(life);
}

TEST_CASE("a failed job carries its exit code and reason") {
  World world;
  world.play = [](Guest& guest) -> Task<void> {
    (void)co_await guest.start();
    (void)co_await guest.finish("failed", 7, "exit code 7");
  };
  world.control.add_job(1);
  auto& life = world.begin_life();
  REQUIRE(world.wait_result(1, "failed"));
  const auto& report = world.control.jobs[1].events.back();
  CHECK_EQ(report.at("exit_code").as_int64(), 7);
  CHECK_EQ(report.at("reason").as_string(), "exit code 7");
  CHECK_EQ(world.control.jobs[1].text("system"), "job failed: exit code 7\n");
  world.stop(life);
}

TEST_CASE("a lost lease ends the VM at once and nothing is reported") {
  World world;
  bool running = false;
  world.play = [&](Guest& guest) -> Task<void> {
    (void)co_await guest.start();
    running = true;
    while (world.machines_alive() > 0) co_await world.loop.sleep(std::chrono::milliseconds(1));
  };
  world.control.add_job(1);
  auto& life = world.begin_life();
  REQUIRE(world.wait_until([&] { return running && world.control.jobs[1].has_event("started"); }));
  world.control.jobs[1].stale = true;
  world.control.notify();
  CHECK(world.wait_until([&] { return world.machines_alive() == 0; }));
  world.stop(life);
  CHECK_EQ(world.control.jobs[1].last_result(), "");
}

TEST_CASE("a cancelled job whose guest does not end it loses its VM") {
  World world;
  bool running = false;
  std::string signal;
  world.play = [&](Guest& guest) -> Task<void> {
    (void)co_await guest.start();
    (void)co_await guest.say("working");
    running = true;
    const auto answer = co_await guest.send("GET", "/guest/v1/signals?wait_s=30");
    signal = answer.body;
    while (world.machines_alive() > 0) co_await world.loop.sleep(std::chrono::milliseconds(1));
  };
  world.control.add_job(1);
  auto& life = world.begin_life();
  REQUIRE(world.wait_until([&] { return running; }));
  world.control.jobs[1].cancel = true;
  world.control.notify();
  REQUIRE(world.wait_result(1, "cancelled"));
  CHECK_EQ(world.machines_alive(), 0);
  CHECK_EQ(signal, R"({"signal":"cancel","grace_s":0})");
  CHECK_EQ(world.control.jobs[1].text("system"), "job cancelled\n");
  world.stop(life);
}

TEST_CASE(
    "a VM that its job brought down makes it failed, with the console's last words in the log") {
  World world;
  world.play = [&](Guest& guest) -> Task<void> {
    (void)co_await guest.start();
    auto& machine = *world.host->machines.begin()->second;
    machine.write_console("Kernel panic - not syncing: Fatal exception\n");
    machine.end({vm::Exit::Kind::crashed, "guest-reset"});
  };
  world.control.add_job(1);
  auto& life = world.begin_life();
  REQUIRE(world.wait_result(1, "failed"));
  CHECK_EQ(world.control.jobs[1].events.back().at("reason").as_string(),
           "the VM ended: crashed (guest-reset)");
  CHECK_NE(world.control.jobs[1].text("system").find("Kernel panic"), std::string::npos);
  world.stop(life);
}

TEST_CASE("a VM that is killed from outside gives its started job back, for another try") {
  World world;
  world.play = [&](Guest& guest) -> Task<void> {
    (void)co_await guest.start();
    world.host->machines.begin()->second->end({vm::Exit::Kind::killed, "signal 9 (SIGKILL)"});
  };
  world.control.add_job(1);
  auto& life = world.begin_life();
  REQUIRE(world.wait_until([&] { return world.control.jobs[1].has_event("abandoned"); }));
  const auto& event = world.control.jobs[1].events.back();
  CHECK_EQ(event.at("reason").as_string(), "the VM ended: killed (signal 9 (SIGKILL))");
  CHECK_FALSE(event.contains("result"));
  CHECK_FALSE(event.contains("keeps_try"));
  world.stop(life);
}

TEST_CASE("a VM that cannot be booted gives its job back") {
  World world;
  auto& life = world.begin_life();
  life.driver.boot_failures.push_back(Error{Code::internal, "no memory"});
  world.control.add_job(1);
  REQUIRE(world.wait_until([&] { return world.control.jobs[1].has_event("abandoned"); }));
  const auto& event = world.control.jobs[1].events.back();
  CHECK_EQ(event.at("reason").as_string(), "cannot boot: no memory");
  CHECK_FALSE(event.contains("keeps_try"));
  world.stop(life);
}

TEST_CASE("a job whose image is not here is given back at once and says how to get it") {
  World world;
  world.control.add_job(1, {{"image", "no/such"}});
  auto& life = world.begin_life();
  REQUIRE(world.wait_until([&] { return world.control.jobs[1].has_event("abandoned"); }));
  const auto& event = world.control.jobs[1].events.back();
  CHECK_EQ(event.at("reason").as_string(), "no image no/such; import it");
  CHECK(event.at("lacks_image").as_bool());
  CHECK_EQ(world.host->machines.size(), 0);
  world.stop(life);
}

TEST_CASE("a guest that does not end its job in time loses its VM") {
  World world;
  world.options.timeout_grace = std::chrono::milliseconds(0);
  world.play = [&](Guest& guest) -> Task<void> {
    (void)co_await guest.start();
    while (world.machines_alive() > 0) co_await world.loop.sleep(std::chrono::milliseconds(1));
  };
  world.control.add_job(1, {{"timeout_s", 1}});
  auto& life = world.begin_life();
  REQUIRE(world.wait_result(1, "timed_out"));
  CHECK_EQ(world.machines_alive(), 0);
  CHECK_EQ(world.control.jobs[1].events.back().at("reason").as_string(), "timed out after 1 s");
  world.stop(life);
}

TEST_CASE("stopping gives a job back at once whose guest has not taken it") {
  World world;
  world.guests_are_silent = true;
  world.control.add_job(1);
  auto& life = world.begin_life();
  REQUIRE(world.wait_until([&] { return world.machines_alive() == 1; }));
  life.agent->stop(std::chrono::hours(1));
  REQUIRE(world.wait_until([&] { return life.outcome.has_value(); }));
  CHECK_EQ(world.machines_alive(), 0);
  const auto& event = world.control.jobs[1].events.back();
  CHECK_EQ(event.at("type").as_string(), "abandoned");
  CHECK_EQ(event.at("reason").as_string(), "the agent is stopping");
  CHECK(event.at("keeps_try").as_bool());
}

TEST_CASE("lines are spooled while the server's logs are away, and arrive in order later") {
  World world;
  world.options.report_hold = std::chrono::seconds(30);
  int accepted = 0;
  world.play = [&](Guest& guest) -> Task<void> {
    (void)co_await guest.start();
    for (int i = 0; i < 20; ++i) {
      if (i == 5) world.control.logs_away = true;
      const int status = co_await guest.say("line " + std::to_string(i));
      accepted += status == 200;
    }
    (void)co_await guest.finish("succeeded", 0);
  };
  world.control.add_job(1);
  auto& life = world.begin_life();
  REQUIRE(world.wait_until([&] { return accepted == 20; }));
  CHECK_EQ(world.control.jobs[1].lines.size(), 5);
  CHECK_EQ(world.control.jobs[1].last_result(), "");
  world.control.logs_away = false;
  REQUIRE(world.wait_result(1, "succeeded"));
  const auto& lines = world.control.jobs[1].lines;
  REQUIRE_EQ(lines.size(), 21);
  for (size_t i = 0; i < lines.size(); ++i) CHECK_EQ(lines[i].at("seq").as_int64(), i + 1);
  world.stop(life);
  CHECK(std::filesystem::is_empty(world.directory + "/spool"));
}

TEST_CASE("a guest waits when the spool is full, and no line is lost") {
  World world;
  world.options.report_hold = std::chrono::seconds(30);
  world.options.spool_bytes_max = 4096;
  int refused = 0;
  world.play = [&](Guest& guest) -> Task<void> {
    (void)co_await guest.start();
    world.control.logs_away = true;
    for (int i = 0; i < 50; ++i) {
      while (co_await guest.say("a line that is not short " + std::to_string(i)) != 200) {
        --guest.seq;
        if (++refused == 1) world.control.logs_away = false;
        co_await world.loop.sleep(std::chrono::milliseconds(1));
      }
    }
    (void)co_await guest.finish("succeeded", 0);
  };
  world.control.add_job(1);
  auto& life = world.begin_life();
  REQUIRE(world.wait_result(1, "succeeded"));
  CHECK_GT(refused, 0);
  CHECK_EQ(world.control.jobs[1].lines.size(), 51);
  world.stop(life);
}

TEST_CASE("the job goes on while the server is away, and is reported when it is back") {
  World world;
  bool finished = false;
  world.play = [&](Guest& guest) -> Task<void> {
    (void)co_await guest.start();
    world.control.away = true;
    world.control.logs_away = true;
    (void)co_await guest.say("all alone");
    (void)co_await guest.finish("succeeded", 0);
    finished = true;
  };
  world.control.add_job(1);
  auto& life = world.begin_life();
  REQUIRE(world.wait_until([&] { return finished && world.machines_alive() == 0; }));
  CHECK_EQ(world.control.jobs[1].last_result(), "");
  world.control.away = false;
  world.control.logs_away = false;
  REQUIRE(world.wait_result(1, "succeeded"));
  REQUIRE(world.wait_until([&] { return life.agent->status().connected; }));
  world.stop(life);
}

TEST_CASE("a server that stays away past the lease and its grace costs the job its VM") {
  World world;
  world.control.lease_ttl = std::chrono::milliseconds(1000);
  world.options.lease_grace = std::chrono::milliseconds(10);
  world.play = [&](Guest& guest) -> Task<void> {
    (void)co_await guest.start();
    world.control.away = true;
    while (world.machines_alive() > 0) co_await world.loop.sleep(std::chrono::milliseconds(1));
  };
  world.control.add_job(1);
  auto& life = world.begin_life();
  CHECK(world.wait_until([&] { return world.control.away && world.machines_alive() == 0; }));
  world.control.away = false;
  world.stop(life);
  CHECK_EQ(world.control.jobs[1].last_result(), "");
}

TEST_CASE("after kill -9 a running VM is adopted and its job ends as if nothing had been") {
  bool more = false;
  SUBCASE("with lines to come") { more = true; }
  SUBCASE("with every line acknowledged before") { more = false; }
  World world;
  bool running = false, go_on = false;
  world.play = [&](Guest& guest) -> Task<void> {
    (void)co_await guest.start();
    (void)co_await guest.say("before");
    running = true;
    const uint16_t old_port = world.places_state->port(0);
    const auto knows_job = [&guest]() -> Task<bool> {
      const auto answer = co_await guest.send("GET", "/guest/v1/signals?wait_s=0");
      co_return answer.status == 204;
    };
    uint16_t port = old_port;
    do {
      co_await world.loop.sleep(std::chrono::milliseconds(1));
      port = world.places_state->port(0);  // once: another thread sets it
      guest.gateway = "http://127.0.0.1:" + std::to_string(port);
    } while (!go_on || port == old_port || !co_await knows_job());
    if (more) (void)co_await guest.say("after");
    (void)co_await guest.finish("succeeded", 0);
  };
  world.control.add_job(1);
  world.begin_life();
  REQUIRE(world.wait_until([&] { return running; }));

  // What a killed process leaves: its files and its machines. The old life stays in memory, but its
  // directory is copied, so lock and journal are its own, and the server has moved away from it.
  world.control.move();
  world.options.server = world.control.url();
  const std::string copy = world.directory + "-copy";
  std::filesystem::copy(world.directory, copy, std::filesystem::copy_options::recursive);
  world.options.directory = copy;
  auto& second = world.begin_life();
  REQUIRE(world.wait_until([&] { return second.agent->status().connected; }));
  CHECK_EQ(world.machines_alive(), 1);
  go_on = true;
  REQUIRE(world.wait_result(1, "succeeded"));
  CHECK_EQ(world.control.jobs[1].text("stdout"), more ? "before\nafter\n" : "before\n");
  CHECK_EQ(world.control.jobs[1].events.back().at("log_last_seq").as_int64(), more ? 3 : 2);
  world.stop(second);
  CHECK_EQ(world.control.enrolled, 1);
  std::filesystem::remove_all(copy);
}

TEST_CASE("a job's end is when its guest says it was, however late the report") {
  World world;
  world.play = [](Guest& guest) -> Task<void> {
    (void)co_await guest.start();
    (void)co_await guest.send(
        "POST", "/guest/v1/finished",
        R"({"result":"succeeded","exit_code":0,"last_seq":0,"age_ms":60000})");
  };
  world.control.add_job(1);
  auto& life = world.begin_life();
  REQUIRE(world.wait_result(1, "succeeded"));
  CHECK_GE(world.control.jobs[1].events.back().at("age_ms").as_int64(), 60000);
  world.stop(life);
}

TEST_CASE("a guest's report that contradicts itself is refused") {
  CHECK(parse_guest_report(R"({"result":"failed","exit_code":7,"last_seq":0})"));
  CHECK_FALSE(parse_guest_report(R"({"result":"succeeded","exit_code":3,"last_seq":0})"));
  CHECK_FALSE(parse_guest_report(R"({"result":"failed","exit_code":0,"last_seq":0})"));
}

TEST_CASE("after kill -9 a job whose VM is gone says when it was last known to run") {
  World world;
  bool running = false;
  world.play = [&](Guest& guest) -> Task<void> {
    (void)co_await guest.start();
    (void)co_await guest.say("before");
    running = true;
    while (world.machines_alive() > 0) co_await world.loop.sleep(std::chrono::milliseconds(1));
  };
  world.control.add_job(1);
  world.begin_life();
  REQUIRE(world.wait_until([&] { return running && !world.control.jobs[1].lines.empty(); }));
  world.control.move();
  world.options.server = world.control.url();
  const std::string copy = world.directory + "-copy";
  // The journal's notes are not waited for.
  REQUIRE(world.wait_until([&] {
    std::filesystem::remove_all(copy);
    std::filesystem::copy(world.directory, copy, std::filesystem::copy_options::recursive);
    const auto journal = Journal::open(copy + "/journal.db", system_clock().now());
    const auto rows = journal ? (*journal)->read() : fail(Code::unavailable, "half copied");
    return rows && rows->size() == 1 && rows->front().alive_at;
  }));
  world.options.directory = copy;
  world.host->machines.begin()->second->end({vm::Exit::Kind::killed, ""});
  auto& second = world.begin_life();
  REQUIRE(world.wait_until([&] { return world.control.jobs[1].has_event("abandoned"); }));
  const auto& event = world.control.jobs[1].events.back();
  CHECK_NE(event.at("reason").as_string().find("it was last known to run at 20"),
           boost::json::string::npos);
  world.stop(second);
  std::filesystem::remove_all(copy);
}

TEST_CASE("after a restart a VM that nobody owns is ended and what it left is removed") {
  World world;
  world.options.warm = 1;
  auto& first = world.begin_life();
  REQUIRE(world.wait_until([&] { return first.agent->status().warm == 1; }));
  const std::string copy = world.directory + "-copy";
  std::filesystem::copy(world.directory, copy, std::filesystem::copy_options::recursive);
  const auto stray = world.host->machines.begin()->second;
  world.control.move();
  world.options.server = world.control.url();
  world.options.directory = copy;
  world.options.warm = 0;
  world.options.slots = 0;
  auto& second = world.begin_life();
  REQUIRE(world.wait_until([&] { return second.agent->status().connected; }));
  CHECK(stray->destroyed);
  world.stop(second);
  std::filesystem::remove_all(copy);
}

TEST_CASE("two agents cannot share a directory") {
  World world;
  auto& life = world.begin_life();
  AgentParts parts{world.loop,     life.driver,     life.places,
                   system_clock(), system_random(), life.metrics};
  const auto second = Agent::open(parts, world.options, {});
  REQUIRE_FALSE(second);
  CHECK(second.error().code == Code::conflict);
  world.stop(life);
}

TEST_CASE("an agent whose credential is refused enrols anew with the token it has") {
  World world;
  const std::string file = world.directory + "/credential";
  REQUIRE(os::write_file_atomically(file, R"({"id":"agent-old","credential":"revoked"})", 0600));
  world.control.add_job(1);
  auto& life = world.begin_life();
  REQUIRE(world.wait_result(1, "succeeded"));
  CHECK_EQ(world.control.enrolled, 1);
  CHECK_NE(os::read_file(file, 4096).value().find(R"("credential":"secret")"), std::string::npos);
  world.control.revoked = true;  // its token is spent: once is all
  world.control.notify();
  REQUIRE(world.wait_until([&] { return life.outcome.has_value(); }));
  CHECK_EQ(world.control.enrolled, 1);
}

TEST_CASE("an agent whose credential and token are refused says what to do") {
  World world;
  bool has_token = false;
  SUBCASE("with no token") {}
  SUBCASE("with one that was spent before") { has_token = true; }
  world.options.enrollment_token = Secret(has_token ? "spent" : "");
  REQUIRE(os::write_file_atomically(world.directory + "/credential",
                                    R"({"id":"agent-old","credential":"revoked"})", 0600));
  auto& life = world.begin_life();
  REQUIRE(world.wait_until([&] { return life.outcome.has_value(); }));
  REQUIRE_FALSE(*life.outcome);
  const Error& error = life.outcome->error();
  CHECK(error.code == Code::unauthenticated);
  CHECK_NE(error.message.find("the token is not valid"), std::string::npos);
  CHECK_EQ(error.message.find("no such token") != std::string::npos, has_token);
  CHECK_NE(error.hint.find("nimbus agent enroll"), std::string::npos);
  CHECK_NE(error.hint.find("agent.enrollment_token"), std::string::npos);
}

TEST_CASE("an agent that was revoked ends with the reason") {
  World world;
  auto& life = world.begin_life();
  REQUIRE(world.wait_until([&] { return life.agent->status().connected; }));
  world.control.revoked = true;
  world.control.notify();
  REQUIRE(world.wait_until([&] { return life.outcome.has_value(); }));
  REQUIRE_FALSE(*life.outcome);
  CHECK(life.outcome->error().code == Code::forbidden);
}

TEST_CASE("an agent that is revoked while it runs does not come back by itself") {
  World world;
  world.options.enrollment_token = Secret();
  int issued = 0;
  world.options.issue_enrollment_token = [&issued]() -> Result<Secret> {
    ++issued;
    return Secret("enrol-me");
  };
  auto& life = world.begin_life();
  REQUIRE(world.wait_until([&] { return life.agent->status().connected; }));
  world.control.revoked = true;
  world.control.notify();
  REQUIRE(world.wait_until([&] { return life.outcome.has_value(); }));
  REQUIRE_FALSE(*life.outcome);
  CHECK(life.outcome->error().code == Code::forbidden);
  CHECK_NE(life.outcome->error().hint.find("nimbus agent enroll"), std::string::npos);
  CHECK_EQ(issued, 1);
  CHECK_EQ(world.control.enrolled, 1);
}

TEST_CASE("an agent that its server knows no more enrols anew, with a token made for it") {
  World world;
  world.options.enrollment_token = Secret();
  world.options.issue_enrollment_token = []() -> Result<Secret> { return Secret("enrol-me"); };
  auto& life = world.begin_life();
  REQUIRE(world.wait_until([&] { return life.agent->status().connected; }));
  world.control.credential = "another";  // its database was put back, say
  world.control.notify();
  world.control.add_job(1);
  REQUIRE(world.wait_result(1, "succeeded"));
  CHECK_EQ(world.control.enrolled, 2);
  world.stop(life);
}

TEST_CASE("stopping gives a job that does not end by itself back, for another try") {
  World world;
  bool running = false;
  world.play = [&](Guest& guest) -> Task<void> {
    (void)co_await guest.start();
    running = true;
    while (world.machines_alive() > 0) co_await world.loop.sleep(std::chrono::milliseconds(1));
  };
  world.control.add_job(1);
  auto& life = world.begin_life();
  REQUIRE(world.wait_until([&] { return running; }));
  world.stop(life);
  CHECK_EQ(world.machines_alive(), 0);
  const auto& event = world.control.jobs[1].events.back();
  CHECK_EQ(event.at("type").as_string(), "abandoned");
  CHECK_EQ(event.at("reason").as_string(), "the agent was stopped");
  CHECK_FALSE(event.contains("result"));
  CHECK_FALSE(event.contains("keeps_try"));
}

TEST_CASE("the gateway forwards with the job token and nothing else of the guest's") {
  World world;
  int proxied = 0, hidden = 0;
  world.play = [&](Guest& guest) -> Task<void> {
    (void)co_await guest.start();
    const auto proxied_answer = co_await guest.send("GET", "/v2/acme/app/manifests/latest");
    proxied = proxied_answer.status;
    const auto hidden_answer = co_await guest.send("GET", "/api/v1/jobs");
    hidden = hidden_answer.status;
    (void)co_await guest.send("POST", "/v1/traces", "{}");
    (void)co_await guest.finish("succeeded", 0);
  };
  world.control.add_job(5);
  auto& life = world.begin_life();
  REQUIRE(world.wait_result(5, "succeeded"));
  CHECK_EQ(proxied, 404);
  CHECK_EQ(hidden, 404);
  CHECK_EQ(world.control.authorizations, std::vector<std::string>{"Bearer token-5"});
  CHECK_EQ(world.control.traces.size(), 1);
  world.stop(life);
}

TEST_CASE("the gateway passes large bodies both ways as they come") {
  World world;
  std::string large(size_t{9} << 20, 'x');
  for (size_t i = 0; i < large.size(); i += 4096) large[i] = static_cast<char>('a' + i / 4096 % 26);
  net::ClientResponse mirrored;
  world.play = [&](Guest& guest) -> Task<void> {
    (void)co_await guest.start();
    std::string body = large;
    mirrored = co_await guest.send("PUT", "/blobs/mirror", std::move(body));
    (void)co_await guest.finish("succeeded", 0);
  };
  world.control.add_job(5);
  auto& life = world.begin_life();
  REQUIRE(world.wait_result(5, "succeeded"));
  CHECK_EQ(mirrored.status, 200);
  CHECK(mirrored.body == large);
  CHECK_EQ(mirrored.headers.find("Content-Length"), std::to_string(large.size()));
  CHECK_FALSE(mirrored.headers.find("X-Asked").value_or("").empty());
  world.stop(life);
}

TEST_CASE("a finished report that leaves lines out is refused") {
  World world;
  int early = 0;
  world.play = [&](Guest& guest) -> Task<void> {
    (void)co_await guest.start();
    guest.seq = 3;
    early = co_await guest.finish("succeeded", 0);
    guest.seq = 0;
    (void)co_await guest.finish("succeeded", 0);
  };
  world.control.add_job(1);
  auto& life = world.begin_life();
  REQUIRE(world.wait_result(1, "succeeded"));
  CHECK_EQ(early, 409);
  world.stop(life);
}
