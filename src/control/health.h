// Is this process alive, are its parts ready, what do its metrics say: /healthz, /readyz, /metrics
// and /openapi.json. Parts register a check; one that starts or is down makes the whole `degraded`,
// and only a required part that is unavailable makes it `unavailable` (503).
//
// Threads: the loop's; checks are called there and must not block.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "access/authenticator.h"
#include "base/metrics.h"
#include "base/secret.h"
#include "base/task.h"
#include "net/router.h"

namespace nimbus::control {

enum class PartStatus { ok, starting, degraded, unavailable };
std::string_view to_string(PartStatus status);

struct PartHealth {
  PartStatus status = PartStatus::ok;
  std::string detail;  // for people; may be empty; never secret, /readyz is open
};

class Health {
 public:
  using Check = std::function<PartHealth()>;

  // `required`: without this part nothing works.
  void add(std::string name, bool required, Check check);

  struct Report {
    std::string json;  // the API's Health
    bool available = true;
  };
  Report report() const;

 private:
  struct Part {
    std::string name;
    bool required = false;
    Check check;
  };
  std::vector<Part> parts_;
};

// Who may read /metrics: this host; from anywhere, who shows the token or is an operator of every
// org.
struct MetricsReaders {
  std::optional<Secret> token;
  access::Authenticator& authenticator;
};
void add_health_routes(net::Router& router, const Health& health, Metrics& metrics,
                       MetricsReaders readers);

}  // namespace nimbus::control
