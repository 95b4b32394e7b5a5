#include "telemetry/log_book.h"

#include <algorithm>

namespace nimbus::telemetry {
namespace {

constexpr size_t kLineOverheadBytes = sizeof(model::LogLine) + 16;

size_t size_of(const model::LogLine& line) { return line.text.size() + kLineOverheadBytes; }

Duration steady_now() {
  return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch());
}

bool before(const model::LogLine& line, int64_t seq) { return line.seq < seq; }

}  // namespace

std::shared_ptr<LiveJob> LogBook::open(const LogOwner& owner) {
  std::shared_ptr<LiveJob>& job = jobs_[owner.job];
  if (!job) job = std::make_shared<LiveJob>(loop_, owner);
  job->touched = steady_now();
  return job;
}

std::shared_ptr<LiveJob> LogBook::find(model::JobId job) const {
  const auto found = jobs_.find(job);
  return found == jobs_.end() ? nullptr : found->second;
}

void LogBook::show(LiveJob& job, model::Fence fence, const std::vector<model::LogLine>& lines) {
  LiveLog& log = job.logs[fence];
  for (const model::LogLine& line : lines) {
    auto at = log.recent.end();
    if (!log.recent.empty() && log.recent.back().seq >= line.seq) {
      at = std::lower_bound(log.recent.begin(), log.recent.end(), line.seq, before);
      if (at->seq == line.seq) continue;
    }
    log.recent.insert(at, line);
    log.recent_bytes += size_of(line);
    recent_bytes_ += size_of(line);
  }
  trim(log, kRecentBytesMax);
  // Over all bounds: the others give half of theirs; they read from storage instead.
  if (recent_bytes_ > kRecentBytesAllMax) {
    for (auto& [id, other] : jobs_) {
      for (auto& [number, one] : other->logs) trim(one, one.recent_bytes / 2);
    }
  }
  job.changed.notify_all();
}

void LogBook::hide(LiveJob& job, model::Fence fence, const std::vector<model::LogLine>& lines) {
  LiveLog& log = job.logs[fence];
  for (const model::LogLine& line : lines) {
    const auto at = std::lower_bound(log.recent.begin(), log.recent.end(), line.seq, before);
    if (at == log.recent.end() || at->seq != line.seq) continue;
    log.recent_bytes -= size_of(*at);
    recent_bytes_ -= size_of(*at);
    log.recent.erase(at);
  }
}

void LogBook::ring(model::JobId job) {
  const auto found = find(job);
  if (!found) return;
  ++found->rings;
  found->changed.notify_all();
}

void LogBook::trim(LiveLog& log, size_t bytes_max) {
  while (log.recent_bytes > bytes_max && !log.recent.empty()) {
    const size_t bytes = size_of(log.recent.front());
    log.recent_bytes -= bytes;
    recent_bytes_ -= bytes;
    log.recent.pop_front();
  }
}

void LogBook::sweep(Duration now) {
  for (auto it = jobs_.begin(); it != jobs_.end();) {
    LiveJob& job = *it->second;
    const bool idle = job.users == 0 && it->second.use_count() == 1;
    if (!idle || now - job.touched < kIdleTime) {
      ++it;
      continue;
    }
    for (auto& [fence, log] : job.logs) trim(log, 0);
    it = jobs_.erase(it);
  }
}

}  // namespace nimbus::telemetry
