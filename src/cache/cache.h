// The cache role: what jobs store to be fast and what they hand to each other. The Actions cache
// protocols, artifacts, plain keys, and what operators see of it, over one blob store.
//
// Who may read and write what is reach.h; it follows from the credential alone. Entries and their
// holds on blobs change together, so a crash leaves nothing wrong.
//
// Threads: made before the loop runs; the rest the loop's.
#pragma once

#include <memory>

#include "cache/core.h"
#include "net/router.h"

namespace nimbus::cache {

class Cache {
 public:
  // The database has set "cache". `parts` outlive it. From here on the quota book asks this cache
  // to make room.
  Cache(const CacheParts& parts, CacheOptions options);
  ~Cache();

  void add_routes(net::Router& router);
  // Starts the sweeper: writes uses, expires uploads, idle entries and artifacts.
  void start();
  void stop();
  // Writes what is only in memory. For the end of a drain.
  Task<void> flush();

  struct Status {
    size_t open_uploads = 0;
    bool failing = false;  // the last sweep could not write
  };
  Status status() const;

  // One round of the sweeper.
  Task<void> sweep();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace nimbus::cache
