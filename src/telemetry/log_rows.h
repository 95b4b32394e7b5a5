// A job's lines as rows of job_logs, and back. Threads: pure functions.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "model/ids.h"
#include "model/log_line.h"
#include "telemetry/row_binary.h"

namespace nimbus::telemetry {

struct LogOwner {
  std::string org;
  std::string repo;
  model::JobId job;
  model::Fence fence;
};

// Appends one row in the order of tables.cc.
void write_log_row(RowWriter& rows, const LogOwner& owner, const model::LogLine& line);

// A row as it stands in a block; texts are borrowed from it.
struct LogRow {
  std::string_view org;
  std::string_view repo;
  model::JobId job;
  model::Fence fence;
  std::string_view stream;
  int64_t seq = 0;
  int64_t ts_ns = 0;
  std::string_view text;
  bool partial = false;
  std::string_view level;
};
// False when the bytes end in the middle of a row.
bool read_log_rows(std::string_view rows, const std::function<void(const LogRow&)>& visit);

// "debug", "info", "warn" or "error": what the line says of itself (`::error::`, "ERROR …",
// `"level":"warn"`, `[WARN]`), info otherwise. Looks at the first bytes only.
std::string_view level_of(std::string_view text);

}  // namespace nimbus::telemetry
