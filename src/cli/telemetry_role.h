// The telemetry role put together: its options from the configuration, its questions about jobs to
// control, the hidden command that is the embedded engine's process.
//
// Threads: made before the loop runs (blocking); the rest the loop's.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cli/config.h"
#include "control/health.h"
#include "net/loop.h"
#include "telemetry/telemetry.h"

namespace nimbus::cli {

struct TelemetryRoleOptions {
  const Config& config;
  std::string library;  // libchdb.so, "" when there is none
  std::string data;     // the data directory
  // Where control is; asked when it is needed, because this process may not listen yet.
  std::function<std::string()> control_url;
};

Result<std::unique_ptr<telemetry::Telemetry>> open_telemetry(net::Loop& loop, Metrics& metrics,
                                                             access::Authenticator& authenticator,
                                                             const TelemetryRoleOptions& options);
control::PartHealth health_of(const telemetry::Telemetry& telemetry);

}  // namespace nimbus::cli
