// A body of POST /api/v1/jobs/{id}/logs: NDJSON, one line of a job's output each,
// {"ts":ns,"seq":n,"stream":"stdout|stderr|system","text":"…","partial":true?}. From a guest, so
// everything is bounded and one bad line refuses the body.
//
// Threads: pure function.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "model/log_line.h"

namespace nimbus::telemetry {

constexpr size_t kLogBodyBytesMax = size_t{8} << 20;
constexpr size_t kLogBodyLinesMax = 100'000;
constexpr int64_t kLogSeqMax = int64_t{1} << 53;

// The lines by rising seq, each seq once (the first one wins). bad_request names the line of the
// body and what is wrong with it; too_large: a text over model::kLogLineBytesMax, or too many
// lines. The body's capacity may grow.
Result<std::vector<model::LogLine>> parse_log_lines(std::string& body);

}  // namespace nimbus::telemetry
