#include "cli/server_process.h"

#include <sys/stat.h>

#include "api/request_rules.h"
#include "base/log.h"
#include "cli/access_parts.h"
#include "cli/agent_role.h"
#include "cli/cache_role.h"
#include "cli/config_check.h"
#include "cli/control_role.h"
#include "cli/data_directory.h"
#include "cli/installation.h"
#include "cli/listen_address.h"
#include "cli/registry_role.h"
#include "cli/signals.h"
#include "cli/storage_role.h"
#include "cli/telemetry_role.h"
#include "net/server.h"

namespace nimbus::cli {
namespace {

constexpr Duration kDrainPatience = std::chrono::seconds(30);  // for jobs that run
constexpr Duration kDrainDeadline = std::chrono::seconds(10);  // for requests in progress
// Enough that uploads which wait for a slow disk leave some for everybody else.
constexpr int kBlockingThreads = 16;
constexpr Duration kDrainPoll = std::chrono::milliseconds(50);

// Everything the process owns; members end in reverse order, so what others use comes first.
class ServerProcess {
 public:
  explicit ServerProcess(const ServerOptions& options) : options_(options) {}
  // Requests that outlast the drain, long polls for instance, refer to the members.
  ~ServerProcess() { loop_.end_tasks(); }
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  Result<void> start() {
    // Before anything is made on the disk.
    TRY(check_start(options_.config, options_.roles));
    // The databases, blobs and spools are this user's alone, whatever made the directory.
    ::umask(077);
    data_.emplace(TRY(DataDirectory::open(options_.data, system_random())));
    installation_ = TRY(find_installation(options_.config));
    const bool stores = hosts(Role::cache) || hosts(Role::registry);
    if (hosts(Role::control) || stores) TRY(open_access());
    if (hosts(Role::control)) TRY(start_control());
    if (stores) TRY(open_storage());
    if (hosts(Role::cache)) start_cache();
    if (hosts(Role::registry)) TRY(start_registry());
    if (stores) storage_->start();
    if (hosts(Role::telemetry)) TRY(start_telemetry());
    TRY(listen());
    if (hosts(Role::agent)) TRY(start_agent());
    signals_.emplace(loop_, [this] { end(); }, [this] { reload(); });
    announce();
    return {};
  }

  void run() { loop_.run(); }

 private:
  bool hosts(Role role) const { return options_.roles.contains(role); }

  Result<void> open_access() {
    const Config& config = options_.config;
    access_ =
        TRY(AccessParts::open(metrics_, {.config = config,
                                         .database_url = config.control.database.empty()
                                                             ? "sqlite:" + data_->file("nimbus.db")
                                                             : config.control.database,
                                         .admin_token = data_->admin_token(),
                                         .job_token_key = data_->job_token_key()}));
    return {};
  }

  // Of a process without the control role, which has its own.
  control::Health& health() { return control_ != nullptr ? control_->health() : health_; }

  Result<void> open_storage() {
    if (control_ == nullptr) metrics_token_ = TRY(read_metrics_token(options_.config));
    storage_ = TRY(StorageRole::open(loop_, metrics_, *access_,
                                     {.config = options_.config, .data = data_->path()}));
    health().add("storage", false, [this] { return health_of(*storage_); });
    return {};
  }

  void start_cache() {
    cache_ = open_cache(loop_, metrics_, *access_, *storage_,
                        {.config = options_.config, .job_token_key = data_->job_token_key()});
    health().add("cache", false, [this] { return health_of(*cache_); });
  }

  Result<void> start_registry() {
    registry_ =
        TRY(open_registry(loop_, metrics_, *access_, *storage_,
                          {.config = options_.config, .job_token_key = data_->job_token_key()}));
    health().add("registry", false, [this] { return health_of(*registry_); });
    return {};
  }

  Result<void> start_control() {
    const Config& config = options_.config;
    const bool relay = config.webhook.mode == "relay";
    const std::string& named =
        relay ? config.webhook.relay_secrets_file : config.webhook.secrets_file;
    control_ = TRY(ControlRole::start(
        loop_, metrics_, *access_,
        {.config = config,
         .webhook_secrets_file = named.empty() ? data_->file("webhook.secret") : named}));
    control_->health().add("agent", false, [this] { return agent_health(); });
    // Balancers look away while the process drains.
    control_->health().add("server", true, [this]() -> control::PartHealth {
      if (ending_) return {control::PartStatus::unavailable, "draining"};
      return {};
    });
    return {};
  }

  Result<void> start_telemetry() {
    if (control_ == nullptr) {
      return fail(Code::bad_request,
                  "the telemetry role runs with the control role in this release",
                  "nimbus serve control telemetry");
    }
    telemetry_ = TRY(open_telemetry(loop_, metrics_, access_->authenticator,
                                    {.config = options_.config,
                                     .library = installation_.libchdb,
                                     .data = data_->path(),
                                     .control_url = [this] { return own_url(); }}));
    telemetry_->start();
    control_->health().add("telemetry", false, [this] { return health_of(*telemetry_); });
    control_->on_job_ended([this](int64_t job) { telemetry_->job_changed({job}); });
    return {};
  }

  net::Router make_router() {
    net::Router router;
    if (control_ != nullptr) {
      control_->add_routes(router);
    } else if (storage_ != nullptr) {
      control::add_health_routes(router, health_, metrics_,
                                 {metrics_token_, access_->authenticator});
    }
    if (cache_ != nullptr) cache_->add_routes(router);
    if (registry_ != nullptr) registry_->add_routes(router);
    if (telemetry_ != nullptr) telemetry_->add_routes(router);
    router.guard(api::request_rules());
    return router;
  }

  // With TLS the process's own roles talk to each other over a Unix socket of the data directory:
  // the certificate names the public host, and nobody else needs to hear it.
  Result<void> listen() {
    const Config& config = options_.config;
    const ListenAddress where = TRY(parse_listen_address(config.server.listen));
    net::ServerOptions wanted;
    wanted.address = where.address;
    wanted.port = where.port;
    wanted.metrics = &metrics_;
    if (!config.server.tls_certificate.empty()) {
      wanted.tls = net::TlsFiles{config.server.tls_certificate, config.server.tls_key};
    }
    const bool tls = wanted.tls.has_value();
    server_ = TRY(net::Server::listen(loop_, make_router(), std::move(wanted)));
    if (tls) {
      net::ServerOptions inner;
      inner.address = "unix:" + inner_socket();
      inner_server_ = TRY(net::Server::listen(loop_, make_router(), std::move(inner)));
    }
    return {};
  }

  // An agent that cannot start does not take the control plane down with it: the reason is in the
  // log and in /readyz.
  Result<void> start_agent() {
    std::function<Result<Secret>()> issue;
    if (options_.embedded_agent) issue = [this] { return control_->enroll_local_agent(); };
    auto started = AgentRole::start(
        loop_, metrics_,
        {.config = options_.config,
         .installation = installation_,
         .directory = data_->file("agent"),
         .server = options_.embedded_agent ? own_url() : options_.config.agent.server,
         .enrollment_token = options_.config.agent.enrollment_token,
         .issue_enrollment_token = std::move(issue)});
    if (started) {
      agent_ = std::move(*started);
      return {};
    }
    if (!options_.embedded_agent) return fail(std::move(started).error());
    agent_failure_ = started.error().message;
    log_error("jobs cannot run on this machine", started.error());
    return {};
  }

  std::string inner_socket() const { return data_->file("nimbus.sock"); }

  // Where this process's own roles find each other.
  std::string own_url() const {
    if (inner_server_ != nullptr) return "http+unix://" + net::percent_encode(inner_socket());
    return "http://127.0.0.1:" + std::to_string(server_->port());
  }

  std::string public_url() const {
    const std::string& listen = options_.config.server.listen;
    const bool tls = !options_.config.server.tls_certificate.empty();
    return std::string(tls ? "https" : "http") + "://" + listen.substr(0, listen.rfind(':')) + ":" +
           std::to_string(server_->port());
  }

  control::PartHealth agent_health() const {
    using control::PartStatus;
    if (!hosts(Role::agent)) return {PartStatus::ok, "none on this machine"};
    if (!agent_failure_.empty()) return {PartStatus::unavailable, agent_failure_};
    if (agent_ == nullptr) return {PartStatus::starting, ""};
    if (agent_->stopped()) return {PartStatus::unavailable, agent_->failure()};
    const agent::AgentStatus status = agent_->status();
    return {status.connected ? PartStatus::ok : PartStatus::starting, status.detail};
  }

  void announce() const {
    const Config& config = options_.config;
    log_info("nimbus is up",
             {{"version", NIMBUS_VERSION},
              {"url", public_url()},
              {"data", data_->path()},
              {"tls", !config.server.tls_certificate.empty()},
              {"webhook_mode", config.webhook.mode},
              {"database", config.control.database.empty() ? "sqlite" : "configured"},
              {"telemetry", config.telemetry.clickhouse == "embedded:" ? "embedded" : "server"},
              {"agent", agent_ != nullptr}});
    if (data_->is_new() && hosts(Role::control)) {
      log_info(
          "first start: sign in with the text of admin.token; GitHub's webhook takes "
          "webhook.secret",
          {{"directory", data_->path()}});
    }
  }

  void reload() {
    if (control_ != nullptr) {
      if (const auto done = control_->reload_secrets(); !done)
        log_error("webhook secrets stay as they were", done.error());
    }
    if (!options_.config.server.tls_certificate.empty()) {
      if (const auto done = server_->reload_tls(); !done)
        log_error("the certificate stays as it was", done.error());
    }
    log_info("reloaded");
  }

  void end() {
    if (ending_) {
      log_warn("second signal: ending now");
      loop_.stop();
      return;
    }
    ending_ = true;
    loop_.spawn(drain(), "drain");
  }

  Task<void> drain() {
    if (agent_ != nullptr && !agent_->stopped()) {
      const int busy = agent_->status().busy;
      log_info("draining", {{"jobs", busy}, {"patience_s", busy > 0 ? 30 : 0}});
      agent_->stop(kDrainPatience);
      while (!agent_->stopped()) co_await loop_.sleep(kDrainPoll);
    }
    if (control_ != nullptr) control_->stop();
    co_await server_->drain(kDrainDeadline);
    if (inner_server_ != nullptr) co_await inner_server_->drain(kDrainDeadline);
    if (cache_ != nullptr) {
      cache_->stop();
      co_await cache_->flush();
    }
    if (registry_ != nullptr) co_await registry_->drain();
    if (storage_ != nullptr) storage_->stop();
    if (telemetry_ != nullptr) co_await telemetry_->drain(kDrainDeadline);
    log_info("stopped");
    loop_.stop();
  }

  const ServerOptions& options_;
  net::Loop loop_{kBlockingThreads};
  Metrics metrics_;
  std::optional<DataDirectory> data_;
  Installation installation_;
  control::Health health_;
  std::optional<Secret> metrics_token_;
  std::unique_ptr<AccessParts> access_;
  std::unique_ptr<ControlRole> control_;
  std::unique_ptr<StorageRole> storage_;
  std::unique_ptr<cache::Cache> cache_;
  std::unique_ptr<registry::Registry> registry_;
  std::unique_ptr<telemetry::Telemetry> telemetry_;
  std::unique_ptr<net::Server> server_;
  std::unique_ptr<net::Server> inner_server_;
  std::unique_ptr<AgentRole> agent_;
  std::optional<Signals> signals_;
  std::string agent_failure_;
  bool ending_ = false;
};

}  // namespace

Result<void> run_server(const ServerOptions& options) {
  ServerProcess process(options);
  TRY(process.start());
  process.run();
  return {};
}

}  // namespace nimbus::cli
