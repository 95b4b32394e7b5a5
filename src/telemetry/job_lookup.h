// What telemetry asks about jobs. Control owns them and decides who may see one, so the question
// goes to control's own API with the caller's own credential: another org's job is not_found here
// because it is there.
//
// Threads: the loop's.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/task.h"
#include "model/ids.h"
#include "model/job.h"
#include "net/client.h"

namespace nimbus::telemetry {

struct JobView {
  model::JobId id;
  std::string org;
  std::string repo;
  model::JobState state = model::JobState::queued;
  model::Fence fence;
  std::optional<int64_t> exit_code;
  std::optional<int64_t> log_last_seq;  // once the agent has said how many lines there are
};

// The caller's credential, to be passed on as it came.
struct ForwardedCredential {
  std::string authorization;
  std::string cookie;
};
ForwardedCredential credential_of(const net::Request& request);

class JobLookup {
 public:
  virtual ~JobLookup() = default;
  // not_found: no such job for this caller. unavailable: control does not answer.
  virtual Task<Result<JobView>> find(model::JobId id, const ForwardedCredential& credential) = 0;
};

// GET {base_url}/api/v1/jobs/{id}.
std::unique_ptr<JobLookup> make_http_job_lookup(net::Loop& loop, std::string base_url);

}  // namespace nimbus::telemetry
