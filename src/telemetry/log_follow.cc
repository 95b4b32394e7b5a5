#include "telemetry/log_follow.h"

#include <algorithm>

#include "api/json_text.h"
#include "base/text.h"
#include "telemetry/line_json.h"

namespace nimbus::telemetry {
namespace {

constexpr size_t kChunkLines = 1'000;
constexpr Duration kGapPoll = std::chrono::milliseconds(100);

Duration steady_now() {
  return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch());
}

class Follower {
 public:
  Follower(FollowParts parts, FollowRequest request, net::BodyWriter& out)
      : parts_(parts),
        request_(std::move(request)),
        out_(out),
        live_(parts.book.open(LogOwner{request_.job.org, request_.job.repo, request_.job.id, {}})),
        fence_(request_.fence.value_or(request_.job.fence)),
        last_(request_.after),
        rings_(live_->rings),
        gap_patience_(model::is_final(request_.job.state) ? Duration::zero() : parts.times.gap),
        tail_patience_(model::is_final(request_.job.state) ? parts.times.tail_unknown
                                                           : parts.times.tail_known),
        moved_at_(steady_now()),
        looked_at_(steady_now()),
        confirmed_at_(steady_now()),
        wrote_at_(steady_now()) {}

  Task<void> run();

 private:
  // False: stop following.
  Task<bool> send_lines();
  Task<bool> send(std::vector<model::LogLine> lines);
  Task<bool> write(std::string text);
  Task<bool> refresh();
  Task<bool> send_end();
  std::vector<model::LogLine> live_lines(bool past_gap) const;
  bool has_later_live_lines() const;
  bool is_over() const;
  const LiveLog* live_log() const;

  FollowParts parts_;
  FollowRequest request_;
  net::BodyWriter& out_;
  const LiveJobUse live_;
  model::Fence fence_;
  int64_t last_;  // the last seq sent
  uint64_t rings_;
  Duration gap_patience_;
  Duration tail_patience_;
  int64_t passed_over_ = 0;   // lines that lacked
  bool progress_ = false;     // something was sent in this round
  bool flushed_ = false;      // history was read once more after the execution was superseded
  bool more_stored_ = false;  // the last page of history was not the end
  Duration moved_at_;         // when lines were sent last, or the execution or state changed
  Duration looked_at_;
  Duration confirmed_at_;
  Duration wrote_at_;
  Duration polled_at_{0};
};

const LiveLog* Follower::live_log() const {
  // Job numbers are control's; lines of another owner under one would be a fault worth hiding.
  if (!equal_ignoring_case(live_->owner.org, request_.job.org)) return nullptr;
  const auto found = live_->logs.find(fence_);
  return found == live_->logs.end() ? nullptr : &found->second;
}

// The lines in memory that follow `last_` without a gap; with `past_gap` whatever comes next.
std::vector<model::LogLine> Follower::live_lines(bool past_gap) const {
  std::vector<model::LogLine> lines;
  const LiveLog* log = live_log();
  if (log == nullptr) return lines;
  auto at =
      std::lower_bound(log->recent.begin(), log->recent.end(), last_ + 1,
                       [](const model::LogLine& line, int64_t seq) { return line.seq < seq; });
  int64_t next = past_gap && at != log->recent.end() ? at->seq : last_ + 1;
  for (; at != log->recent.end() && at->seq == next && lines.size() < kChunkLines; ++at, ++next) {
    lines.push_back(*at);
  }
  return lines;
}

bool Follower::has_later_live_lines() const {
  const LiveLog* log = live_log();
  return log != nullptr && log->accepted.highest() > last_;
}

Task<bool> Follower::send_lines() {
  progress_ = false;
  std::vector<model::LogLine> lines = live_lines(false);
  if (!lines.empty()) co_return co_await send(std::move(lines));
  const Duration since_poll = steady_now() - polled_at_;
  const bool due = more_stored_ || since_poll >= parts_.times.poll ||
                   (has_later_live_lines() && since_poll >= kGapPoll);
  if (!due) co_return true;
  // The next line is not in memory: it was there before us, came by another process, or lacks.
  LogOwner owner{request_.job.org, request_.job.repo, request_.job.id, fence_};
  auto stored = co_await parts_.history.read(std::move(owner), last_, kLogPageLines);
  polled_at_ = steady_now();
  more_stored_ = stored && !stored->empty();
  if (!stored) co_return true;  // later; what is in memory beyond it must wait its turn
  const bool waited = steady_now() - moved_at_ >= gap_patience_;
  const bool gap = !stored->empty() && stored->front().seq != last_ + 1;
  if (gap && !waited) more_stored_ = false;  // the same page again would spin
  if (!stored->empty() && (!gap || waited)) co_return co_await send(std::move(*stored));
  if (waited) {
    lines = live_lines(true);
    if (!lines.empty()) co_return co_await send(std::move(lines));
  }
  co_return true;
}

// Sends the first of the lines in any case, and those that follow it without a gap; a gap among
// them is waited for like any other.
Task<bool> Follower::send(std::vector<model::LogLine> lines) {
  std::string text;
  std::string data;
  const bool is_final = model::is_final(request_.job.state);
  for (const model::LogLine& line : lines) {
    if (line.seq != last_ + 1) {
      if (&line != &lines.front() && gap_patience_ > Duration::zero()) {
        more_stored_ = true;
        break;
      }
      passed_over_ += line.seq - last_ - 1;
      if (is_final) gap_patience_ = Duration::zero();
    }
    data.clear();
    append_line_json(data, line, fence_);
    text += net::sse_event("line", data, std::to_string(line.seq));
    last_ = line.seq;
  }
  progress_ = true;
  moved_at_ = steady_now();
  co_return co_await write(std::move(text));
}

Task<bool> Follower::write(std::string text) {
  wrote_at_ = steady_now();
  const auto written = co_await out_.write(text);
  co_return written.has_value();
}

// Asks control about the job. False when the caller may not see it any more.
Task<bool> Follower::refresh() {
  looked_at_ = steady_now();
  const auto job = co_await parts_.jobs.find(request_.job.id, request_.credential);
  if (!job) co_return job.error().code == Code::unavailable;
  if (job->state != request_.job.state) moved_at_ = steady_now();
  request_.job = *job;
  co_return true;
}

// No line is to be expected any more.
bool Follower::is_over() const {
  const JobView& job = request_.job;
  const bool superseded = request_.fence && *request_.fence < job.fence;
  if (!superseded && !model::is_final(job.state)) return false;
  if (job.fence.value == 0) return true;
  const Duration quiet = steady_now() - moved_at_;
  if (superseded || !job.log_last_seq) return quiet >= parts_.times.tail_unknown;
  return last_ >= *job.log_last_seq || quiet >= tail_patience_;
}

Task<bool> Follower::send_end() {
  const JobView& job = request_.job;
  LogOwner owner{job.org, job.repo, job.id, fence_};
  int64_t missing = passed_over_;
  const auto known = co_await parts_.history.known(std::move(owner));
  if (known) {
    const auto found = known->find(fence_);
    const SeqSet none;
    const SeqSet& seqs = found == known->end() ? none : found->second;
    missing = 0;
    const int64_t expected = std::max(job.log_last_seq.value_or(0), seqs.highest());
    for (const auto& [first, last] : seqs.gaps(expected)) missing += last - first + 1;
  }
  api::JsonText data;
  data.text("state", model::to_string(job.state)).integer("exit_code", job.exit_code);
  data.integer("last_seq", last_).integer("missing", missing);
  std::string event = net::sse_event("end", data.finish());
  co_return co_await write(std::move(event));
}

Task<void> Follower::run() {
  const FollowTimes& times = parts_.times;
  bool going = co_await write(": following\n\n");
  while (going && !out_.peer_gone()) {
    going = co_await send_lines();
    if (!going) break;
    if (progress_) continue;
    if (is_over()) {
      co_await send_end();
      break;
    }
    if (!request_.fence && request_.job.fence > fence_) {
      if (!std::exchange(flushed_, true)) {
        polled_at_ = {};
        continue;
      }
      flushed_ = false;
      fence_ = request_.job.fence;
      last_ = 0;
      moved_at_ = steady_now();
      std::string data = api::JsonText().integer("fence", fence_.value).finish();
      std::string event = net::sse_event("execution", data);
      going = co_await write(std::move(event));
      continue;
    }
    const Duration now = steady_now();
    if (now - wrote_at_ >= times.keep_alive) going = co_await write(": \n\n");
    if (request_.confirm && now - confirmed_at_ >= times.confirm) {
      confirmed_at_ = now;
      const auto confirmed = co_await request_.confirm();
      going = going && confirmed.has_value();
    }
    if (!more_stored_) co_await live_->changed.wait(times.lookup);
    const bool rung = std::exchange(rings_, live_->rings) != live_->rings;
    const bool look_due = steady_now() - looked_at_ >= times.lookup;
    if (going && (look_due || rung)) going = co_await refresh();
  }
}

}  // namespace

Task<void> follow_log(FollowParts parts, FollowRequest request, net::BodyWriter& out) {
  Follower follower(parts, std::move(request), out);
  co_await follower.run();
}

}  // namespace nimbus::telemetry
