// Log lines as the API shows them: one JSON object each. Written by hand because a log has
// millions.
//
// Threads: pure functions.
#pragma once

#include <string>
#include <string_view>

#include "model/ids.h"
#include "model/log_line.h"

namespace nimbus::telemetry {

// Appends `text` as a JSON string, quotes included. Ill-formed UTF-8 is passed on as it is.
void append_json_text(std::string& out, std::string_view text);
// Appends "2026-11-24T22:45:00.123456789Z", the fraction without trailing zeros.
void append_time(std::string& out, int64_t ns);
// Appends {"ts":…,"seq":…,"stream":…,"text":…,"fence":…} ("partial":true when it is).
void append_line_json(std::string& out, const model::LogLine& line, model::Fence fence);

}  // namespace nimbus::telemetry
