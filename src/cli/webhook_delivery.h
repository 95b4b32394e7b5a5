// A webhook delivery as GitHub, or a relay before us, would make it. Threads: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/random.h"
#include "base/secret.h"
#include "base/time.h"
#include "net/client.h"

namespace nimbus::cli {

struct Delivery {
  std::string event;
  std::string guid;
  std::string body;
  std::optional<Time> timestamp;  // signed with the body, as a relay does
};

// The POST to `url`, signed with `secret`.
net::ClientRequest make_delivery(const Delivery& delivery, const Secret& secret, std::string url);

// The body with workflow_job's created_at, started_at and completed_at, where they are set, at
// `now`. bad_request: not JSON, or no workflow_job in it.
Result<std::string> move_times(std::string_view body, Time now);

// "workflow_job" of "…/workflow_job.queued.json"; workflow_job when the name tells nothing.
std::string event_of_file(std::string_view path);

// A random GUID (RFC 9562, version 4).
std::string make_guid(Random& random);

}  // namespace nimbus::cli
