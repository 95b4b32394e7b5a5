// What control knows in memory: the queue, the leases in force, the agents that wait for work, how
// many jobs are in which state. The database is the truth; every durable change is told to the
// board as a JobChange, in the order of the commits, and on start it is filled from the database.
//
// Threads: the loop's.
#pragma once

#include <array>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "control/event_bus.h"
#include "control/job.h"
#include "control/job_queue.h"
#include "control/lease_table.h"
#include "net/loop.h"

namespace nimbus::control {

constexpr size_t kDirtyJobsMax = 256;  // more at once are told as one `resync`

class Board {
 public:
  Board(net::Loop& loop, const Clock& clock, Metrics& metrics, DispatchLimits defaults);

  JobQueue& queue() { return queue_; }
  LeaseTable& leases() { return leases_; }
  EventBus& events() { return events_; }

  void apply(const JobChange& change);
  // Called on the loop when a job has reached a final state.
  void on_ended(std::function<void(int64_t job)> call) { on_ended_ = std::move(call); }
  // A claim is durable: `change` is the job's move to leased. Its pick has been counted as running.
  void granted(const JobChange& change, LiveLease lease);
  // On start: a lease that the database has.
  void restore(LiveLease lease);
  void count(model::JobState state, int64_t jobs);

  // Hands jobs to the agents that wait, the longest waiting first. Called by whatever may have made
  // a job eligible: a new one, one that ended, a changed limit, time.
  void dispatch();

  // Jobs for an agent, picked now or as soon as there are any; empty after `wait`, or at once when
  // the same agent asks again (the older request's connection is taken for dead).
  Task<std::vector<Pick>> await_picks(std::string agent, Room room, Duration wait);
  // The agent is to get no more work: its open request is answered now, with nothing.
  void turn_away(std::string_view agent);
  size_t waiting_agents() const { return waiting_.size(); }
  // The process ends: who waits (for work, for a cancel, for events) is answered now, and so is who
  // still asks.
  void stop();

  // Jobs that changed since the last call, for subscribers of events; nullopt: too many to tell.
  std::optional<std::vector<int64_t>> take_dirty();
  bool has_dirty() const { return dirty_overflow_ || !dirty_.empty(); }
  net::Notifier& dirty() { return dirty_ready_; }

  std::string hold_reason(std::string_view org) const;

 private:
  struct Waiter;
  class Waiting;
  void mark_dirty(int64_t job);
  void leave(const std::shared_ptr<Waiter>& waiter);

  net::Loop& loop_;
  const Clock& clock_;
  JobQueue queue_;
  LeaseTable leases_;
  EventBus events_;
  std::list<std::shared_ptr<Waiter>> waiting_;
  bool stopped_ = false;
  std::unordered_set<int64_t> dirty_;
  std::function<void(int64_t)> on_ended_;
  bool dirty_overflow_ = false;
  net::Notifier dirty_ready_;
  std::array<int64_t, 8> counts_{};
  std::array<Gauge*, 8> gauges_{};
  Histogram& queue_wait_;
};

}  // namespace nimbus::control
