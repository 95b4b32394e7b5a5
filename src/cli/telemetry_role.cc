#include "cli/telemetry_role.h"

#include "base/clock.h"
#include "cli/commands.h"
#include "telemetry/embedded_clickhouse.h"

namespace nimbus::cli {
namespace {

class LateJobLookup final : public telemetry::JobLookup {
 public:
  LateJobLookup(net::Loop& loop, std::function<std::string()> control_url)
      : loop_(loop), control_url_(std::move(control_url)) {}

  Task<Result<telemetry::JobView>> find(model::JobId id,
                                        const telemetry::ForwardedCredential& credential) override {
    if (lookup_ == nullptr) lookup_ = telemetry::make_http_job_lookup(loop_, control_url_());
    co_return co_await lookup_->find(id, credential);
  }

 private:
  net::Loop& loop_;
  std::function<std::string()> control_url_;
  std::unique_ptr<telemetry::JobLookup> lookup_;
};

int run_engine(const Arguments& arguments) {
  telemetry::EmbeddedClickhouseOptions options;
  options.directory = arguments.find("--path").value_or("");
  options.socket = arguments.find("--socket").value_or("");
  options.library = arguments.find("--library").value_or("");
  return telemetry::run_embedded_clickhouse(options);
}

}  // namespace

Result<std::unique_ptr<telemetry::Telemetry>> open_telemetry(net::Loop& loop, Metrics& metrics,
                                                             access::Authenticator& authenticator,
                                                             const TelemetryRoleOptions& options) {
  telemetry::TelemetryOptions wanted;
  wanted.clickhouse = options.config.telemetry.clickhouse;
  wanted.database = options.config.telemetry.database;
  wanted.user = options.config.telemetry.user;
  wanted.password = options.config.telemetry.password;
  wanted.directory = options.data + "/telemetry";
  wanted.engine.directory = options.data + "/clickhouse";
  wanted.engine.socket = options.data + "/clickhouse.sock";
  wanted.engine.library = options.library;
  wanted.spool_bytes_max = static_cast<uint64_t>(options.config.telemetry.spool_bytes_max);
  wanted.retention_days = static_cast<int>(options.config.telemetry.log_retention_days);
  return telemetry::Telemetry::open(std::move(wanted),
                                    {loop, authenticator, metrics, system_clock(),
                                     std::make_unique<LateJobLookup>(loop, options.control_url)});
}

control::PartHealth health_of(const telemetry::Telemetry& telemetry) {
  using Status = telemetry::TelemetryHealth::Status;
  telemetry::TelemetryHealth health = telemetry.health();
  const control::PartStatus status = health.status == Status::ok ? control::PartStatus::ok
                                     : health.status == Status::starting
                                         ? control::PartStatus::starting
                                         : control::PartStatus::unavailable;
  return {status, std::move(health.detail)};
}

std::vector<Command> engine_commands() {
  return {{.noun = telemetry::kEmbeddedCommand,
           .summary = "The embedded ClickHouse process, started by nimbus itself",
           .options = {{"--path", "DIR", "Its files"},
                       {"--socket", "PATH", "Where it listens"},
                       {"--library", "FILE", "libchdb.so"}},
           .hidden = true,
           .run = run_engine}};
}

}  // namespace nimbus::cli
