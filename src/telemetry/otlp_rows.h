// Decoded OTLP as rows. The owner comes from the sender's credential and overwrites what the
// resource claims about itself.
//
// Threads: pure functions.
#pragma once

#include <string>
#include <vector>

#include "model/ids.h"
#include "telemetry/block.h"
#include "telemetry/otlp.h"

namespace nimbus::telemetry {

constexpr size_t kOtlpRowBytesMax = size_t{16} << 20;  // of one request

// Whose telemetry it is. Outside a job (an ingest token) job and fence are 0; `repo` empty then
// means that the resource's own nimbus.repo counts, within the org.
struct OtlpOwner {
  std::string org;
  std::string repo;
  model::JobId job;
  model::Fence fence;
};

// The batches of a request: its own table's, and eval_cases where there are any. `now_ns` stands in
// for missing times; items past kOtlpRowBytesMax are rejected. The request's attributes are changed
// on the way (current names, the owner).
std::vector<RowBatch> otlp_rows(OtlpRequest& request, const OtlpOwner& owner, int64_t now_ns);

}  // namespace nimbus::telemetry
