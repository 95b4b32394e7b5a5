// The HTTP server inside one slot: all that its guest can reach. It hands out the job, takes lines,
// start and end, passes signals on, and forwards telemetry, cache and registry requests with the
// job token in the place of whatever the guest sent. Whose requests they are is known from the
// socket.
//
// A guest is hostile: bodies, connections and requests in flight are bounded, nothing it says is
// believed beyond its own job, and no answer carries a credential.
//
// Threads: the loop's.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "agent/control_client.h"
#include "agent/log_forwarder.h"
#include "base/result.h"
#include "model/job.h"
#include "net/loop.h"
#include "net/server.h"
#include "os/unique_fd.h"

namespace nimbus::agent {

constexpr size_t kOtlpBodyBytesMax = size_t{4} << 20;
constexpr size_t kProxiedBodyBytesMax = size_t{16} << 30;  // they pass through, piece by piece
constexpr int kProxiedRequestsMax = 32;                    // at once, of one guest
constexpr size_t kGuestConnectionsMax = 64;

// How the guest says its job ended.
struct GuestReport {
  model::JobResult result = model::JobResult::failed;
  std::optional<int> exit_code;
  std::string reason;
  int64_t last_seq = 0;
  Duration age{0};  // since the job ended: the gateway may have been away
};
Result<GuestReport> parse_guest_report(std::string_view body);

// The job as the gateway serves it.
struct GuestWork {
  std::function<std::string()> job_body;  // made anew at each asking: it carries the time
  std::shared_ptr<LogForwarder> forwarder;
  std::function<Secret()> job_token;
  std::function<void()> on_given;
  std::function<Task<Result<void>>()> on_started;  // the guest waits for it
  std::function<void(GuestReport)> on_finished;
};

class Gateway {
 public:
  // Serves on `listener`, with no work yet: the guest's question for its job waits.
  static Result<std::unique_ptr<Gateway>> open(net::Loop& loop, ControlClient& control,
                                               os::UniqueFd listener);
  ~Gateway();  // closes every connection

  // Gives the waiting guest its work. Once.
  void give(GuestWork work);
  void cancel(Duration grace);

  bool parked() const;  // the guest has asked for its job
  // Suspends until it has, or `timeout` has passed; whether it has.
  Task<bool> wait_parked(Duration timeout);

  struct State;

 private:
  explicit Gateway(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
  std::unique_ptr<net::Server> server_;
};

}  // namespace nimbus::agent
