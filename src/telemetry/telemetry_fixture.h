// For tests: a telemetry role as a whole, with the real embedded ClickHouse, behind a real HTTP
// server. A Process can be dropped at any moment, as kill -9 would, and another started on the same
// folder. Threads: one.
#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "access/access_fixture.h"
#include "api/request_rules.h"
#include "net/client.h"
#include "net/server.h"
#include "telemetry/telemetry.h"

namespace nimbus::telemetry {

// The engine's program. The library dies in a process with a sanitizer: such builds need one from a
// plain build, named by NIMBUS_TELEMETRY_ENGINE, or skip what needs the engine.
inline std::string engine_program() {
  if (const char* given = std::getenv("NIMBUS_TELEMETRY_ENGINE")) return given;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return {};
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  return {};
#else
  return NIMBUS_ENGINE_PROGRAM;
#endif
#else
  return NIMBUS_ENGINE_PROGRAM;
#endif
}

// Control's answers about jobs: seen by tokens that are in `viewers`.
struct FakeJobs {
  std::map<int64_t, JobView> jobs;
  std::map<std::string, std::string> viewers;  // "Bearer …" to org, "*" for all

  JobView& add(int64_t id, std::string org, std::string repo, int64_t fence = 1,
               model::JobState state = model::JobState::running) {
    JobView& job = jobs[id];
    job.id = {id};
    job.org = std::move(org);
    job.repo = std::move(repo);
    job.fence = {fence};
    job.state = state;
    return job;
  }
};

class FakeJobLookup final : public JobLookup {
 public:
  explicit FakeJobLookup(FakeJobs& jobs) : jobs_(jobs) {}
  Task<Result<JobView>> find(model::JobId id, const ForwardedCredential& credential) override {
    const auto viewer = jobs_.viewers.find(credential.authorization);
    if (viewer == jobs_.viewers.end()) co_return fail(Code::unauthenticated, "who?");
    const auto found = jobs_.jobs.find(id.value);
    const bool seen =
        found != jobs_.jobs.end() && (viewer->second == "*" || viewer->second == found->second.org);
    if (!seen) co_return fail(Code::not_found, "no such job");
    co_return found->second;
  }

 private:
  FakeJobs& jobs_;
};

inline std::string libchdb_path() {
  const char* given = std::getenv("NIMBUS_TELEMETRY_LIBCHDB");
  if (given != nullptr) return given;
  return std::string(NIMBUS_SOURCE_DIR) + "/node_modules/@chdb/lib-linux-x64-gnu/libchdb.so";
}

// One life of the role.
struct Process {
  net::Loop loop{6};
  Metrics metrics;
  std::unique_ptr<Telemetry> telemetry;
  std::unique_ptr<net::Server> server;
  std::unique_ptr<net::Client> client;

  Process(TelemetryOptions options, access::AccessFixture& access, FakeJobs& jobs) {
    auto opened = Telemetry::open(
        std::move(options),
        {loop, access.authenticator, metrics, access.clock, std::make_unique<FakeJobLookup>(jobs)});
    INFO((opened ? std::string() : opened.error().message));
    REQUIRE(opened.has_value());
    telemetry = std::move(*opened);
    net::Router router;
    telemetry->add_routes(router);
    router.guard(api::request_rules());
    auto listening = net::Server::listen(loop, std::move(router), {});
    REQUIRE(listening.has_value());
    server = std::move(*listening);
    client = std::make_unique<net::Client>(loop);
    telemetry->start();
  }

  // Runs the loop until the Task ends.
  template <typename T>
  T run(Task<T> task) {
    std::optional<T> outcome;
    loop.spawn(collect<T>(std::move(task), outcome, loop), "test");
    loop.run();
    REQUIRE(outcome.has_value());
    return std::move(*outcome);
  }

  // Lets the loop run until `done`, at most that long: on a cold or busy disk the engine's library
  // alone takes many seconds to load.
  bool wait_until(std::function<bool()> done, Duration patience = std::chrono::minutes(3)) {
    return run(poll(std::move(done), patience));
  }
  bool wait_ready() {
    return wait_until([this] { return telemetry->health().status == TelemetryHealth::Status::ok; });
  }

  net::ClientResponse send(std::string method, std::string path, std::string bearer,
                           std::string body = "", net::Headers headers = {}) {
    net::ClientRequest request;
    request.method = std::move(method);
    request.url = url(path);
    request.headers = std::move(headers);
    if (!bearer.empty()) request.headers.add("Authorization", "Bearer " + bearer);
    request.body = std::move(body);
    request.timeout = std::chrono::minutes(3);
    auto answer = run(client->send(std::move(request)));
    INFO((answer ? std::string() : answer.error().message));
    REQUIRE(answer.has_value());
    return std::move(*answer);
  }
  std::string url(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(server->port()) + path;
  }

 private:
  template <typename T>
  static Task<void> collect(Task<T> task, std::optional<T>& outcome, net::Loop& loop) {
    outcome.emplace(co_await std::move(task));
    loop.stop();
  }
  Task<bool> poll(std::function<bool()> done, Duration patience) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (!done()) {
      if (std::chrono::steady_clock::now() > until) co_return false;
      co_await loop.sleep(std::chrono::milliseconds(5));
    }
    co_return true;
  }
};

struct TelemetryFixture {
  access::AccessFixture access;
  FakeJobs jobs;
  std::string dir = make_dir();
  std::string viewer = access.token(access::Role::viewer, "acme");
  std::string foreign = access.token(access::Role::viewer, "globex");
  std::string admin = access.token(access::Role::admin, "*");
  std::unique_ptr<Process> process;

  TelemetryFixture() {
    jobs.viewers = {
        {"Bearer " + viewer, "acme"}, {"Bearer " + foreign, "globex"}, {"Bearer " + admin, "*"}};
  }
  ~TelemetryFixture() {
    process.reset();
    std::filesystem::remove_all(dir);
  }

  static bool has_engine() {
    if (engine_program().empty()) {
      MESSAGE("skipped: a sanitized process cannot load libchdb (NIMBUS_TELEMETRY_ENGINE)");
      return false;
    }
    if (std::filesystem::exists(libchdb_path())) return true;
    MESSAGE("skipped: libchdb is not installed at " << libchdb_path());
    return false;
  }
  TelemetryOptions options() const {
    TelemetryOptions options;
    options.directory = dir + "/telemetry";
    options.engine.program = engine_program();
    options.engine.directory = dir + "/clickhouse";
    options.engine.socket = dir + "/clickhouse.sock";
    options.engine.library = libchdb_path();
    options.follow.gap = std::chrono::milliseconds(300);
    options.follow.tail_unknown = std::chrono::milliseconds(100);
    return options;
  }
  // A life without ClickHouse.
  TelemetryOptions without_engine() const {
    TelemetryOptions options = this->options();
    options.engine.library = dir + "/no-libchdb.so";
    return options;
  }
  Process& start(std::optional<TelemetryOptions> given = {}) {
    process.reset();
    process = std::make_unique<Process>(given.value_or(options()), access, jobs);
    return *process;
  }
  Process& start_ready() {
    start();
    INFO(process->telemetry->health().detail);
    REQUIRE(process->wait_ready());
    return *process;
  }

  std::string job_token(int64_t job, int64_t fence = 1, std::string org = "acme",
                        std::string repo = "app") {
    auto claims = access.claims(std::move(org));
    claims.repo = std::move(repo);
    claims.job = {job};
    claims.fence = {fence};
    return access.job_tokens.sign(claims);
  }

  static std::string line(int64_t seq, std::string_view text = "hello") {
    return "{\"ts\":" + std::to_string(1'700'000'000'000'000'000 + seq) +
           ",\"seq\":" + std::to_string(seq) + ",\"stream\":\"stdout\",\"text\":\"" +
           std::string(text) + "\"}\n";
  }
  static std::string lines(int64_t first, int64_t last) {
    std::string body;
    for (int64_t seq = first; seq <= last; ++seq) body += line(seq, "line " + std::to_string(seq));
    return body;
  }
  net::ClientResponse post_lines(int64_t job, std::string body, int64_t fence = 1) {
    return process->send("POST", "/api/v1/jobs/" + std::to_string(job) + "/logs",
                         job_token(job, fence), std::move(body));
  }
  net::ClientResponse get_lines(int64_t job, std::string query = "") {
    return process->send("GET", "/api/v1/jobs/" + std::to_string(job) + "/logs" + query, viewer);
  }
  // The seqs of an NDJSON answer in their order.
  static std::vector<int64_t> seqs_of(const std::string& ndjson) {
    std::vector<int64_t> seqs;
    constexpr std::string_view kKey = "\"seq\":";
    for (size_t at = ndjson.find(kKey); at != std::string::npos; at = ndjson.find(kKey, at + 1)) {
      seqs.push_back(std::atoll(ndjson.c_str() + at + kKey.size()));
    }
    return seqs;
  }
  static bool is_run_of(const std::vector<int64_t>& seqs, int64_t first, int64_t last) {
    if (static_cast<int64_t>(seqs.size()) != last - first + 1) return false;
    for (size_t i = 0; i < seqs.size(); ++i) {
      if (seqs[i] != first + static_cast<int64_t>(i)) return false;
    }
    return true;
  }

 private:
  static std::string make_dir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "nimbus-tel-XXXXXX").string();
    return mkdtemp(pattern.data());
  }
};

}  // namespace nimbus::telemetry
