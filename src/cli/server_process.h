// One server process: the roles it hosts, behind one listener, from start to drained end. `nimbus
// up` hosts all of them on one data directory; `nimbus serve` the ones it is told.
//
// Threads: the calling one becomes the loop's.
#pragma once

#include <set>
#include <string>

#include "base/result.h"
#include "cli/config.h"

namespace nimbus::cli {

enum class Role { control, cache, registry, telemetry, agent };

struct ServerOptions {
  Config config;
  std::string data;  // directory, made when absent
  std::set<Role> roles;
  bool embedded_agent = false;  // the agent enrols itself with this very process
};

// Serves until SIGTERM or SIGINT; the exit status. On a second signal it ends at once.
Result<void> run_server(const ServerOptions& options);

}  // namespace nimbus::cli
