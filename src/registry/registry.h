// The registry role: images, artifacts and build caches of each org's repositories, by the OCI
// distribution protocol 1.1; mirrors of other registries; the sweep that removes what nothing
// refers to. Put together here, wired into a process by cli.
//
// Threads: made before the loop runs; the rest the loop's.
#pragma once

#include <memory>
#include <string>

#include "access/authenticator.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/secret.h"
#include "blob/losses.h"
#include "blob/quota.h"
#include "blob/store.h"
#include "db/database.h"
#include "net/loop.h"
#include "net/router.h"
#include "registry/options.h"

namespace nimbus::registry {

class Registry {
 public:
  struct Parts {
    net::Loop& loop;
    db::Database& database;  // with blob's and this folder's tables
    blob::Store& store;
    blob::QuotaBook& quota;
    blob::LossBook& losses;
    access::Authenticator& authenticator;
    Metrics& metrics;
    const Clock& clock;
    Secret job_token_key;  // registry tokens are signed with a key made of it
  };
  Registry(Parts parts, Options options);
  ~Registry();

  void add_routes(net::Router& router);
  // Begins the sweeps. Once.
  void start();
  // Writes what was gathered and not yet written.
  Task<void> drain();
  // Why the last sweep failed; "" when it did not.
  const std::string& fault() const;

  struct State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace nimbus::registry
