#include "control/board.h"

#include <algorithm>

#include "base/check.h"

namespace nimbus::control {

using model::JobState;

struct Board::Waiter {
  Waiter(net::Loop& loop, std::string agent_id, Room agent_room)
      : agent(std::move(agent_id)), room(agent_room), ready(loop) {
    room.agent = agent;
  }
  std::string agent;
  Room room;
  net::Notifier ready;
  std::vector<Pick> picks;
};

// A place in the line of waiting agents; leaving it gives back what was not taken.
class Board::Waiting {
 public:
  Waiting(Board& board, std::shared_ptr<Waiter> waiter)
      : board_(board), waiter_(std::move(waiter)) {
    board_.waiting_.push_back(waiter_);
  }
  ~Waiting() { board_.leave(waiter_); }
  Waiting(const Waiting&) = delete;

 private:
  Board& board_;
  std::shared_ptr<Waiter> waiter_;
};

Board::Board(net::Loop& loop, const Clock& clock, Metrics& metrics, DispatchLimits defaults)
    : loop_(loop),
      clock_(clock),
      queue_(defaults),
      events_(loop),
      dirty_ready_(loop),
      queue_wait_(metrics.histogram("nimbus_job_queue_wait_seconds",
                                    "From being queued to being leased.")) {
  for (size_t i = 0; i < gauges_.size(); ++i) {
    gauges_[i] = &metrics.gauge("nimbus_jobs", "Jobs by state.",
                                {{"state", std::string(to_string(static_cast<JobState>(i)))}});
  }
}

void Board::count(JobState state, int64_t jobs) {
  const auto i = static_cast<size_t>(state);
  counts_[i] += jobs;
  gauges_[i]->set(static_cast<double>(counts_[i]));
}

void Board::apply(const JobChange& change) {
  if (change.from != change.to) {
    if (change.from) count(*change.from, -1);
    count(change.to, 1);
  }
  mark_dirty(change.id);
  if (model::is_final(change.to)) queue_.forget_declined(change.id);
  if (on_ended_ && model::is_final(change.to)) on_ended_(change.id);
  bool eligible = false;
  if (change.to != JobState::leased && change.to != JobState::running) {
    if (const auto lease = leases_.remove(change.id)) {
      queue_.ended(lease->org);
      eligible = true;
    }
  } else if (change.cancel_requested) {
    leases_.cancel(change.id);
  }
  if (change.to == JobState::queued && !change.held) {
    queue_.add(change.org, {change.id, change.resources, change.queued_at});
    eligible = true;
  } else {
    queue_.remove(change.id);
  }
  if (eligible) dispatch();
}

void Board::granted(const JobChange& change, LiveLease lease) {
  count(JobState::queued, -1);
  count(JobState::leased, 1);
  mark_dirty(change.id);
  queue_wait_.observe(std::chrono::duration<double>(clock_.now() - change.queued_at).count());
  leases_.add(std::move(lease));
}

void Board::restore(LiveLease lease) {
  queue_.began(lease.org);
  leases_.add(std::move(lease));
}

void Board::dispatch() {
  if (stopped_ || queue_.size() == 0) return;
  for (const auto& waiter : waiting_) {
    if (waiter->room.slots == 0 || !waiter->picks.empty()) continue;
    bool none_left = false;
    waiter->picks = queue_.pick(waiter->room, clock_.now(), &none_left);
    if (!waiter->picks.empty()) waiter->ready.notify_all();
    if (none_left) return;
  }
}

void Board::leave(const std::shared_ptr<Waiter>& waiter) {
  waiting_.remove(waiter);
  if (waiter->picks.empty()) return;
  for (const Pick& pick : std::exchange(waiter->picks, {})) queue_.give_back(pick);
  dispatch();
}

Task<std::vector<Pick>> Board::await_picks(std::string agent, Room room, Duration wait) {
  turn_away(agent);
  if (stopped_) co_return std::vector<Pick>();
  room.agent = agent;
  std::vector<Pick> picks = queue_.pick(room, clock_.now());
  if (!picks.empty() || wait <= Duration(0)) co_return picks;
  auto waiter = std::make_shared<Waiter>(loop_, std::move(agent), room);
  const Waiting place(*this, waiter);
  co_await waiter->ready.wait(wait);
  co_return std::exchange(waiter->picks, {});
}

void Board::turn_away(std::string_view agent) {
  for (const auto& waiter : waiting_) {
    if (waiter->agent != agent) continue;
    waiter->room.slots = 0;
    waiter->ready.notify_all();
  }
}

void Board::stop() {
  stopped_ = true;
  for (const auto& waiter : waiting_) {
    waiter->room.slots = 0;
    waiter->ready.notify_all();
  }
  leases_.wake_all();
  events_.wake_all();
  dirty_ready_.notify_all();
}

void Board::mark_dirty(int64_t job) {
  if (!events_.has_subscribers()) return;
  if (dirty_.size() >= kDirtyJobsMax) {
    dirty_overflow_ = true;
  } else {
    dirty_.insert(job);
  }
  dirty_ready_.notify_all();
}

std::optional<std::vector<int64_t>> Board::take_dirty() {
  std::vector<int64_t> jobs(dirty_.begin(), dirty_.end());
  dirty_.clear();
  if (std::exchange(dirty_overflow_, false)) return std::nullopt;
  std::sort(jobs.begin(), jobs.end());
  return jobs;
}

std::string Board::hold_reason(std::string_view org) const {
  return queue_.hold_reason(org, clock_.now());
}

}  // namespace nimbus::control
