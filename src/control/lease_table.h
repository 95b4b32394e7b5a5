// The leases in force, in memory: who runs what, until when, and what each must still be told.
// Deadlines are of this process's steady clock, so a jump of the wall clock ends no lease.
//
// Threads: the loop's.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/time.h"

namespace nimbus::control {

struct LiveLease {
  int64_t job = 0;
  int64_t fence = 0;
  std::string agent;
  std::string org;
  Duration deadline{0};       // steady
  bool cancel = false;        // the execution must stop
  bool acknowledged = false;  // the agent has shown that it knows of it
};

class LeaseTable {
 public:
  void add(LiveLease lease);
  // The lease that was, when there was one.
  std::optional<LiveLease> remove(int64_t job);
  LiveLease* find(int64_t job);
  // Wakes who watches the lease.
  void cancel(int64_t job);
  void wake_all();
  std::vector<int64_t> of_agent(const std::string& agent) const;
  std::map<std::string, std::vector<int64_t>> by_agent() const;
  std::vector<int64_t> expired(Duration now) const;
  // Every deadline moves to at least `deadline`: this process was away, not the agents.
  void extend_all(Duration deadline);
  size_t size() const { return leases_.size(); }

  // Calls `wake` once, when the lease is cancelled or ends; the watch ends with the handle.
  using Watch = std::shared_ptr<void>;
  Watch watch(int64_t job, std::function<void()> wake);

 private:
  struct Entry {
    LiveLease lease;
    std::vector<std::weak_ptr<std::function<void()>>> watchers;
  };
  static void wake(Entry& entry);

  std::unordered_map<int64_t, Entry> leases_;
  std::unordered_map<std::string, std::set<int64_t>> by_agent_;
};

}  // namespace nimbus::control
