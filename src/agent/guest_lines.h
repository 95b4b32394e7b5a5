// What a guest sends as its job's lines, judged before it goes any further: a guest is hostile, and
// the server is told of every line only once. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/log_line.h"

namespace nimbus::agent {

constexpr size_t kLinesBodyBytesMax = (size_t{1} << 20) + 4096;

struct NewLines {
  std::string ndjson;    // only what is new; may be empty
  int64_t last_seq = 0;  // of the body, also when nothing is new
  int64_t count = 0;     // of new lines
};

// Reads lines {"ts","seq","stream","text","partial"?} whose seq goes up by one. Lines up to
// `last_seq` have been taken before and are left out. With `any_start` (the agent has restarted and
// may not know the last one) the first seq may be anything. bad_request names the line and what is
// wrong; conflict: there is a gap after last_seq.
Result<NewLines> read_new_lines(std::string_view ndjson, int64_t last_seq, bool any_start);

// One line as it is sent to the server.
std::string to_ndjson(const model::LogLine& line);

}  // namespace nimbus::agent
