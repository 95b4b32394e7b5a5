#include "cli/control_role.h"

#include "base/clock.h"
#include "base/random.h"
#include "dashboard/static_files.h"
#include "os/atomic_file.h"

namespace nimbus::cli {
namespace {

constexpr size_t kSecretsFileBytesMax = size_t{64} * 1024;

std::vector<control::Profile> profiles(const Config& config) {
  std::vector<control::Profile> out;
  for (const auto& [name, profile] : config.profiles) {
    control::Profile made;
    made.name = name;
    made.image = profile.image;
    made.entry = profile.entry;
    made.resources = {static_cast<int>(profile.cpus), static_cast<int>(profile.memory_mb),
                      static_cast<int>(profile.disk_mb)};
    made.timeout_s = static_cast<int>(profile.timeout_s);
    if (made.entry.empty()) {
      // A job that runs nothing must not look like one that succeeded.
      made.entry = {"/bin/sh", "-c",
                    "echo \"the profile has no entry: set profiles." + name +
                        ".entry in nimbus.toml to the command that its jobs run\" >&2; exit 78"};
    }
    out.push_back(std::move(made));
  }
  return out;
}

}  // namespace

Result<std::vector<Secret>> read_webhook_secrets(const std::string& file) {
  const std::string text = TRY(os::read_file(file, kSecretsFileBytesMax));
  return TRY_IN(file, control::parse_webhook_secrets(text));
}

Result<std::optional<Secret>> read_metrics_token(const Config& config) {
  if (config.metrics.token_file.empty()) return std::nullopt;
  std::string text =
      TRY_IN("metrics.token_file", os::read_file(config.metrics.token_file, kSecretsFileBytesMax));
  while (text.ends_with('\n')) text.pop_back();
  if (text.empty())
    return fail(Code::bad_request, "metrics.token_file " + config.metrics.token_file + " is empty");
  return Secret(std::move(text));
}

ControlRole::ControlRole(AccessParts& parts, const ControlRoleOptions& options)
    : parts_(parts),
      agents_(*parts.database, parts.tokens, system_clock(), system_random()),
      webhook_secrets_file_(options.webhook_secrets_file),
      session_routes_({parts.authenticator, parts.tokens, parts.sessions}) {}

Result<std::unique_ptr<ControlRole>> ControlRole::start(net::Loop& loop, Metrics& metrics,
                                                        AccessParts& parts,
                                                        const ControlRoleOptions& options) {
  std::unique_ptr<ControlRole> role(new ControlRole(parts, options));
  TRY(role->open_control(loop, metrics, options));
  return role;
}

Result<void> ControlRole::open_control(net::Loop& loop, Metrics& metrics,
                                       const ControlRoleOptions& options) {
  const Config& config = options.config;
  control::ControlOptions wanted;
  wanted.webhook.mode =
      config.webhook.mode == "relay" ? control::WebhookMode::relay : control::WebhookMode::github;
  wanted.webhook.tolerance = std::chrono::seconds(config.webhook.timestamp_tolerance_s);
  wanted.webhook.deliveries_per_minute_max = config.webhook.deliveries_per_minute_max;
  wanted.webhook.profiles = profiles(config);
  wanted.webhook.tries_max = config.control.max_tries;
  wanted.webhook_secrets = TRY(read_webhook_secrets(webhook_secrets_file_));
  wanted.lease_ttl = std::chrono::seconds(config.control.lease_ttl_s);
  wanted.metrics_token = TRY(read_metrics_token(config));
  control_ = TRY(control::Control::open(
      {loop, *parts_.database, system_clock(), metrics, agents_, parts_.orgs, parts_.tokens,
       parts_.authenticator, parts_.sessions, parts_.job_tokens},
      std::move(wanted)));
  control_->start();
  return {};
}

void ControlRole::add_routes(net::Router& router) {
  control_->add_routes(router);
  session_routes_.add_to(router);
  dashboard::add_dashboard_routes(router);
}

Result<void> ControlRole::reload_secrets() {
  const std::vector<Secret> secrets = TRY(read_webhook_secrets(webhook_secrets_file_));
  control_->set_webhook_secrets(secrets);
  return {};
}

Result<Secret> ControlRole::enroll_local_agent() {
  access::TokenRequest request;
  request.kind = access::TokenKind::enrolment;
  request.name = "this process";
  request.expires_at = system_clock().now() + access::kEnrolmentTtl;
  const access::IssuedToken issued = parts_.tokens.make(std::move(request));
  TRY(parts_.database->write_now([&](db::Transaction& tx) -> Result<void> {
    return parts_.tokens.store_in(tx, issued, "nimbus up");
  }));
  return issued.text;
}

}  // namespace nimbus::cli
