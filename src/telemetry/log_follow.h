// A log while it grows, as server-sent events: `line` for every line by rising seq, `execution`
// when the job's next execution begins, `end` when the job is over and its lines were sent.
//
// Promises: no line is lost, doubled or out of order where history and live lines meet: both are
// read by seq, from the last line sent. A gap is waited for, then passed over; `end` says how many
// lines lack. Works while ClickHouse is away, as far as memory and spool reach.
//
// Threads: the loop's.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "net/http.h"
#include "telemetry/job_lookup.h"
#include "telemetry/log_book.h"
#include "telemetry/log_history.h"

namespace nimbus::telemetry {

struct FollowTimes {
  Duration lookup = std::chrono::milliseconds(250);  // between questions about the job's state
  Duration poll = std::chrono::seconds(1);           // of history, for lines that came elsewhere
  Duration gap = std::chrono::seconds(3);            // waited for lines that lack in between
  Duration tail_known = std::chrono::seconds(10);    // after the end, for announced lines
  Duration tail_unknown = std::chrono::seconds(1);   // after the end, when no number was announced
  Duration keep_alive = std::chrono::seconds(15);
  Duration confirm = std::chrono::seconds(2);  // between checks that the caller still may
};

struct FollowParts {
  LogBook& book;
  LogHistory& history;
  JobLookup& jobs;
  FollowTimes times;
};

struct FollowRequest {
  JobView job;
  ForwardedCredential credential;
  std::optional<model::Fence> fence;  // only this execution
  int64_t after = 0;
  std::function<Task<Result<void>>()> confirm;  // fails once the caller may no longer see it
};

// Writes until the end, or until the reader is gone.
Task<void> follow_log(FollowParts parts, FollowRequest request, net::BodyWriter& out);

}  // namespace nimbus::telemetry
