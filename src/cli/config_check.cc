#include "cli/config_check.h"

#include "blob/open_store.h"
#include "cli/control_role.h"
#include "cli/installation.h"
#include "cli/listen_address.h"
#include "db/database.h"
#include "net/tls.h"

namespace nimbus::cli {
namespace {

Result<void> check_control(const Config& config) {
  const bool relay = config.webhook.mode == "relay";
  const std::string& file = relay ? config.webhook.relay_secrets_file : config.webhook.secrets_file;
  if (file.empty()) return {};
  TRY_IN(relay ? "webhook.relay_secrets_file" : "webhook.secrets_file", read_webhook_secrets(file));
  return {};
}

}  // namespace

Result<void> check_start(const Config& config, const std::set<Role>& roles) {
  TRY_IN("server.listen", parse_listen_address(config.server.listen));
  if (!config.server.tls_certificate.empty()) {
    TRY_IN("server.tls_certificate",
           net::make_server_tls(config.server.tls_certificate, config.server.tls_key));
  }
  TRY(find_installation(config));
  const bool control = roles.contains(Role::control);
  const bool stores = roles.contains(Role::cache) || roles.contains(Role::registry);
  if ((control || stores) && !config.control.database.empty()) {
    TRY(db::Database::check_url(config.control.database));
  }
  if (control) TRY(check_control(config));
  if (control || stores) TRY(read_metrics_token(config));
  if (stores) TRY(blob::check_store_url(config.blob.store));
  if (stores && !config.blob.s3_ca_file.empty()) {
    TRY_IN("blob.s3_ca_file", net::make_client_tls(config.blob.s3_ca_file));
  }
  return {};
}

}  // namespace nimbus::cli
