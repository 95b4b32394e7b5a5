#include "telemetry/telemetry.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/log.h"
#include "telemetry/eval_routes.h"
#include "telemetry/log_routes.h"
#include "telemetry/otlp_routes.h"
#include "telemetry/schema.h"

namespace nimbus::telemetry {
namespace {

constexpr Duration kPauseMin = std::chrono::milliseconds(50);
constexpr Duration kPauseMax = std::chrono::seconds(2);
constexpr Duration kIdlePause = std::chrono::seconds(30);
// Away again this soon: its answer to a ping is not to be believed at once.
constexpr Duration kFlapping = std::chrono::seconds(10);
// An embedded engine that runs for so long without answering, or fails so many inserts in a row, is
// started anew.
constexpr Duration kSilenceMax = std::chrono::minutes(2);
constexpr int kFailuresMax = 10;
constexpr int kRetentionDaysMax = 36'500;

Duration steady_now() {
  return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch());
}

bool is_embedded(const TelemetryOptions& options) { return options.clickhouse == "embedded:"; }

ClickhouseOptions client_options(const TelemetryOptions& options) {
  ClickhouseOptions client{options.clickhouse, options.database, options.user, options.password};
  if (is_embedded(options)) {
    client = {"http+unix://" + net::percent_encode(options.engine.socket), "nimbus", {}, {}};
  }
  return client;
}

Result<void> check(const TelemetryOptions& options) {
  const std::string& url = options.clickhouse;
  const bool server = url.starts_with("http://") || url.starts_with("https://");
  if (!is_embedded(options) && !server) {
    return fail(Code::bad_request, "telemetry.clickhouse is \"" + url + "\"",
                "it takes embedded: or the http(s):// URL of a ClickHouse server");
  }
  if (options.retention_days < 1 || options.retention_days > kRetentionDaysMax) {
    return fail(Code::bad_request, "telemetry.log_retention_days must be from 1 to " +
                                       std::to_string(kRetentionDaysMax));
  }
  const bool word = !options.database.empty() &&
                    std::all_of(options.database.begin(), options.database.end(), [](char c) {
                      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                             (c >= '0' && c <= '9') || c == '_';
                    });
  if (!word) return fail(Code::bad_request, "telemetry.database takes letters, digits and _");
  return {};
}

}  // namespace

struct Telemetry::State {
  State(TelemetryOptions given, TelemetryParts given_parts, Spool spool)
      : options(std::move(given)),
        parts(std::move(given_parts)),
        client(parts.loop, client_options(options), parts.metrics),
        writer(parts.loop, client, std::move(spool), parts.metrics),
        book(parts.loop),
        history(client, writer),
        ingest(book, history, writer),
        logs({parts.authenticator, ingest, book, history, *parts.jobs, client, writer,
              parts.metrics, parts.clock, options.follow}),
        otlp({parts.loop, parts.authenticator, book, writer, parts.metrics, parts.clock}),
        evals({parts.authenticator, client}),
        wake(parts.loop) {
    if (is_embedded(options)) engine.emplace(parts.loop, options.engine, parts.metrics);
  }

  Task<void> tend();
  Task<void> reach();
  Task<bool> answers();
  void watch();
  Task<Result<void>> prepare_schema();

  TelemetryOptions options;
  TelemetryParts parts;
  ClickhouseClient client;
  Writer writer;
  LogBook book;
  LogHistory history;
  LogIngest ingest;
  LogRoutes logs;
  OtlpRoutes otlp;
  EvalRoutes evals;
  net::Notifier wake;
  std::optional<EngineProcess> engine;
  std::string trouble;  // why ClickHouse is not used, once something is known
  bool schema_ready = false;
  bool was_ready = false;  // once; later troubles are an absence, not a start
  bool stopping = false;
  bool tending = false;
  Duration ready_at{0};
  Duration silent_since{0};  // when the engine began not to answer
  int failures_seen = 0;     // of inserts, when the engine was started anew last
  Duration pause = kPauseMin;
};

Result<std::unique_ptr<Telemetry>> Telemetry::open(TelemetryOptions options, TelemetryParts parts) {
  TRY(check(options));
  if (mkdir(options.directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail(errno_error("making " + options.directory, errno));
  }
  Spool spool = TRY_IN("opening the telemetry spool",
                       Spool::open(options.directory + "/spool", options.spool_bytes_max));
  auto state = std::make_unique<State>(std::move(options), std::move(parts), std::move(spool));
  TRY_IN("reading the telemetry spool", state->writer.load());
  return std::unique_ptr<Telemetry>(new Telemetry(std::move(state)));
}

Telemetry::Telemetry(std::unique_ptr<State> state) : state_(std::move(state)) {}
Telemetry::~Telemetry() = default;

void Telemetry::add_routes(net::Router& router) {
  state_->logs.add_to(router);
  state_->otlp.add_to(router);
  state_->evals.add_to(router);
}

void Telemetry::start() {
  State& state = *state_;
  log_info("telemetry", {{"clickhouse", state.options.clickhouse},
                         {"retention_days", state.options.retention_days},
                         {"spool_bytes_max", state.options.spool_bytes_max}});
  const auto woken = [&state] {
    state.pause = kPauseMin;
    state.wake.notify_all();
  };
  state.writer.on_away([&state] {
    const bool flaps = steady_now() - state.ready_at < kFlapping;
    state.pause = flaps ? std::clamp(state.pause * 2, Duration(std::chrono::seconds(1)), kPauseMax)
                        : kPauseMin;
    state.wake.notify_all();
  });
  if (state.engine) {
    state.engine->on_change(woken);
    state.engine->start();
  }
  state.silent_since = steady_now();
  state.tending = true;
  state.parts.loop.spawn(state.tend(), "telemetry");
}

Task<void> Telemetry::State::tend() {
  while (!stopping) {
    if (!writer.ready()) {
      co_await reach();
      watch();
    }
    if (writer.ready() && !writer.spool_empty()) co_await writer.replay();
    book.sweep(steady_now());
    const bool idle = writer.ready();
    if (stopping) break;
    co_await wake.wait(idle ? kIdlePause : pause);
    if (!idle) pause = std::min(pause * 2, kPauseMax);
  }
  tending = false;
  wake.notify_all();
}

// Uses ClickHouse once it answers and has the schema.
Task<void> Telemetry::State::reach() {
  if (engine && engine->pid() == 0) {
    trouble = engine->trouble();
    co_return;
  }
  const bool answering = co_await answers();
  if (!answering) {
    if (!engine) trouble = "ClickHouse does not answer at " + options.clickhouse;
    co_return;
  }
  if (!schema_ready) {
    const auto prepared = co_await prepare_schema();
    if (!prepared) {
      if (trouble != prepared.error().message) log_error("ClickHouse's schema", prepared.error());
      trouble = prepared.error().message;
      pause = kPauseMax;
      co_return;
    }
    schema_ready = true;
  }
  trouble.clear();
  was_ready = true;
  ready_at = steady_now();
  writer.clickhouse_ready();
  log_info("ClickHouse is ready", {{"spool_bytes", writer.spooled_bytes()}});
}

// A ping says that somebody listens; a query, that the engine behind it works.
Task<bool> Telemetry::State::answers() {
  const bool listens = co_await client.ping();
  // A server may lack our database yet, and looks after itself.
  if (!listens || !engine) co_return listens;
  ClickhouseQuery query;
  query.sql = "SELECT 1";
  query.seconds_max = 5;
  const auto one = co_await client.select(std::move(query));
  co_return one.has_value();
}

void Telemetry::State::watch() {
  if (!engine) return;
  const Duration now = steady_now();
  if (writer.ready() || engine->pid() == 0) silent_since = now;
  const bool silent = now - silent_since > kSilenceMax;
  const bool failing = writer.failures_in_row() - failures_seen >= kFailuresMax;
  if (writer.failures_in_row() == 0) failures_seen = 0;
  if (!silent && !failing) return;
  log_error("the embedded ClickHouse does not work, it is started anew",
            {{"failed_inserts", writer.failures_in_row()}, {"silent", silent}});
  failures_seen = writer.failures_in_row();
  silent_since = now;
  engine->kick();
}

Task<Result<void>> Telemetry::State::prepare_schema() {
  std::string database = engine ? "nimbus" : options.database;
  CO_TRY_ASSIGN(const int applied,
                co_await migrate_schema(client, std::move(database), parts.clock));
  if (applied > 0) log_info("ClickHouse's schema migrated", {{"migrations", applied}});
  co_return co_await set_retention(client, options.retention_days);
}

TelemetryHealth Telemetry::health() const {
  const State& state = *state_;
  if (state.writer.ready()) return {TelemetryHealth::Status::ok, {}};
  const bool starting = state.trouble.empty() && !state.was_ready;
  if (starting) return {TelemetryHealth::Status::starting, "ClickHouse is starting"};
  return {TelemetryHealth::Status::unavailable,
          state.trouble.empty() ? "ClickHouse is away, lines go to the spool" : state.trouble};
}

void Telemetry::job_changed(model::JobId job) { state_->book.ring(job); }

pid_t Telemetry::engine_pid() const { return state_->engine ? state_->engine->pid() : 0; }

Task<void> Telemetry::drain(Duration deadline) {
  State& state = *state_;
  co_await state.writer.drain(deadline);
  state.stopping = true;
  state.wake.notify_all();
  while (state.tending) {
    const bool ended = co_await state.wake.wait(deadline);
    if (!ended) break;
  }
  if (state.engine) co_await state.engine->stop(std::chrono::seconds(2));
}

}  // namespace nimbus::telemetry
