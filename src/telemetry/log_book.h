// The live side of logs: which lines of each execution are here already, the newest of them in
// memory for those who follow, and the bell that wakes them. What it forgets can be read from
// ClickHouse and the spool (log_history.h).
//
// Bounded: kRecentBytesMax of lines per execution, kRecentBytesAllMax over all; jobs nobody has
// touched or followed for kIdleTime are forgotten.
//
// Threads: the loop's.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "model/log_line.h"
#include "net/loop.h"
#include "telemetry/log_rows.h"
#include "telemetry/seq_set.h"

namespace nimbus::telemetry {

constexpr size_t kRecentBytesMax = size_t{1} << 20;
constexpr size_t kRecentBytesAllMax = size_t{32} << 20;
constexpr Duration kIdleTime = std::chrono::minutes(5);

struct LiveLog {
  SeqSet accepted;  // being stored, or stored
  SeqSet durable;
  std::deque<model::LogLine> recent;  // by rising seq, the newest
  size_t recent_bytes = 0;
};

struct LiveJob {
  LiveJob(net::Loop& loop, LogOwner o) : owner(std::move(o)), changed(loop) {}
  LogOwner owner;  // its fence is unused
  std::map<model::Fence, LiveLog> logs;
  model::Fence latest;  // the highest fence seen, here or in ClickHouse
  bool loaded = false;  // `durable` has what ClickHouse and the spool have
  bool loading = false;
  net::Notifier changed;  // lines came, or the job's state may have changed
  uint64_t rings = 0;     // times that somebody said the state has changed
  int users = 0;          // followers and requests under way
  Duration touched{};
};

class LogBook {
 public:
  explicit LogBook(net::Loop& loop) : loop_(loop) {}

  // The job's entry, made when absent. It stays while the pointer lives and is in use.
  std::shared_ptr<LiveJob> open(const LogOwner& owner);
  std::shared_ptr<LiveJob> find(model::JobId job) const;

  // Shows lines to followers, keeping the newest within the bounds.
  void show(LiveJob& job, model::Fence fence, const std::vector<model::LogLine>& lines);
  // Takes lines back that could not be stored.
  void hide(LiveJob& job, model::Fence fence, const std::vector<model::LogLine>& lines);
  // Wakes the job's followers: its state has changed.
  void ring(model::JobId job);

  void sweep(Duration now);
  size_t jobs() const { return jobs_.size(); }

 private:
  void trim(LiveLog& log, size_t bytes_max);
  net::Loop& loop_;
  std::map<model::JobId, std::shared_ptr<LiveJob>> jobs_;
  size_t recent_bytes_ = 0;
};

// Counts a user of a LiveJob for as long as it lives.
class LiveJobUse {
 public:
  explicit LiveJobUse(std::shared_ptr<LiveJob> job) : job_(std::move(job)) { ++job_->users; }
  LiveJobUse(const LiveJobUse&) = delete;
  LiveJobUse& operator=(const LiveJobUse&) = delete;
  ~LiveJobUse() { --job_->users; }
  LiveJob& operator*() const { return *job_; }
  LiveJob* operator->() const { return job_.get(); }

 private:
  std::shared_ptr<LiveJob> job_;
};

}  // namespace nimbus::telemetry
