// One execution's way out for lines and telemetry. While the server answers, a batch is
// acknowledged to the guest when the server has made it durable; while it does not, when it is on
// this disk, in the spool, from which it is delivered in order later. With the spool's budget spent
// the guest is told to wait: nothing is dropped.
//
// The seq of lines is watched: they leave without gap or repetition, and the agent's own last words
// get the numbers after the guest's.
//
// Threads: the loop's; keep it by shared_ptr, its Tasks hold themselves alive.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "agent/control_client.h"
#include "agent/guest_lines.h"
#include "agent/loop_lock.h"
#include "agent/spool.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "net/loop.h"

namespace nimbus::agent {

struct ForwarderOptions {
  ExecutionKey key;
  std::string org;
  std::string spool_path;
  int64_t last_seq = 0;
  bool resumed = false;  // after a restart: last_seq may be a little behind
  Duration retry_first = std::chrono::milliseconds(200);
  Duration retry_max = std::chrono::seconds(5);
  std::function<void(int64_t)> on_progress;  // now and then, the last seq taken
  std::function<void()> on_stale;            // the server refused the fence
};

// An OTLP/HTTP export as the guest sent it.
struct OtlpExport {
  std::string target;  // "/v1/traces"
  std::string content_type;
  std::string content_encoding;
  std::string body;
};

class LogForwarder : public std::enable_shared_from_this<LogForwarder> {
 public:
  LogForwarder(net::Loop& loop, ControlClient& control, SpoolBudget& budget, const Clock& clock,
               Metrics& metrics, ForwarderOptions options);
  ~LogForwarder();

  // Takes up what an earlier life left in the spool.
  Task<Result<void>> resume();
  void set_token(Secret token);

  // The last seq that is safe. unavailable: try again later; bad_request, conflict: the guest's
  // fault.
  Task<Result<int64_t>> take_lines(std::string ndjson);
  // unavailable: try again later. The answer's body is empty when the export was spooled.
  Task<Result<net::ClientResponse>> take_otlp(OtlpExport request);
  // A line of Nimbus's own after all others; retried like the rest.
  Task<Result<void>> add_system_line(std::string text);

  bool drained() const { return spool_ == nullptr || spool_->empty(); }
  // True when everything spooled has been delivered within `timeout`.
  Task<bool> wait_drained(Duration timeout);
  // Ends delivery. What is left stays on the disk when `keep`, with a line in the log that says so.
  Task<void> close(bool keep);

  int64_t last_seq() const { return last_seq_; }
  // Whether `seq` is the last line's. An agent that has restarted may know less than its guest,
  // whose lines were all acknowledged by its earlier life: then the guest is right.
  bool ends_with(int64_t seq);

 private:
  Task<Result<void>> deliver_or_spool(std::string frame);
  Task<Result<void>> deliver(const std::string& frame);
  Task<Result<void>> spool(std::string frame);
  Task<void> drain_spool(std::shared_ptr<LogForwarder> self);
  void start_draining();
  void progressed();

  net::Loop& loop_;
  ControlClient& control_;
  SpoolBudget& budget_;
  const Clock& clock_;
  ForwarderOptions options_;
  Counter& lines_;
  Counter& refused_;
  Gauge& spooled_bytes_;
  LoopLock order_;  // one batch of lines at a time
  LoopLock file_;   // the spool's file
  net::Notifier changed_;
  std::unique_ptr<Spool> spool_;
  Secret token_;
  int64_t last_seq_ = 0;
  bool any_start_ = false;
  bool draining_ = false;
  bool closed_ = false;
  Duration noted_at_{0};
};

}  // namespace nimbus::agent
