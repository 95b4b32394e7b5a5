// The telemetry role: takes jobs' lines and OTLP, keeps them in ClickHouse, and answers for logs
// and eval results. Owns the embedded engine's process, the spool, and all in between.
//
//   auto telemetry = TRY(Telemetry::open(options, parts));
//   telemetry->add_routes(router);
//   telemetry->start();            // the loop runs from here
//   co_await telemetry->drain(10s);
//
// Promises: routes work from the first moment: while ClickHouse starts or is away, rows go to the
// spool, logs of running jobs can be followed, and what needs history answers 503.
//
// Threads: the loop's; `open` blocks (start-up only).
#pragma once

#include <memory>
#include <string>

#include "access/authenticator.h"
#include "base/clock.h"
#include "net/router.h"
#include "telemetry/engine_process.h"
#include "telemetry/job_lookup.h"
#include "telemetry/log_follow.h"

namespace nimbus::telemetry {

struct TelemetryOptions {
  std::string clickhouse = "embedded:";  // or http://host:8123, https://…
  std::string database = "nimbus";
  std::string user;
  Secret password;
  std::string directory;        // the spool; made when absent
  EngineProcessOptions engine;  // for "embedded:"
  uint64_t spool_bytes_max = uint64_t{1} << 30;
  int retention_days = 90;
  FollowTimes follow;
};

struct TelemetryParts {
  net::Loop& loop;
  access::Authenticator& authenticator;
  Metrics& metrics;
  const Clock& clock;
  std::unique_ptr<JobLookup> jobs;
};

struct TelemetryHealth {
  enum class Status { ok, starting, unavailable };
  Status status = Status::starting;
  std::string detail;
};

class Telemetry {
 public:
  // bad_request: an option is wrong. internal: the spool cannot be opened.
  static Result<std::unique_ptr<Telemetry>> open(TelemetryOptions options, TelemetryParts parts);
  ~Telemetry();

  void add_routes(net::Router& router);
  void start();
  TelemetryHealth health() const;
  // A job's state has changed: its followers look at once instead of within FollowTimes::lookup.
  void job_changed(model::JobId job);
  // Lets what is queued become durable, then ends the embedded engine.
  Task<void> drain(Duration deadline);

  pid_t engine_pid() const;  // 0: none runs, or a server is used

 private:
  struct State;
  explicit Telemetry(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace nimbus::telemetry
