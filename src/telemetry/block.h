// What the writer moves: rows of one table as RowBinary. A batch comes from one sender; a block is
// batches under one token. It goes into ClickHouse or into the spool whole, and keeps its token
// until it is stored, so that trying again is safe.
//
// Threads: values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "model/ids.h"
#include "telemetry/tables.h"

namespace nimbus::telemetry {

constexpr size_t kBlockBytesMax = size_t{8} << 20;
constexpr uint32_t kBlockRowsMax = 200'000;

// Lines of one execution, by the lowest and highest seq among them.
struct LineRange {
  model::JobId job;
  model::Fence fence;
  int64_t first = 0;
  int64_t last = 0;
};

struct RowBatch {
  Table table = Table::job_logs;
  uint32_t rows = 0;
  std::string data;
  std::optional<LineRange> lines;  // for job_logs: which they are
};

struct Block {
  Table table = Table::job_logs;
  // Sent to ClickHouse before, with an unknown outcome: may not be merged with others, or its token
  // would change.
  bool attempted = false;
  uint32_t rows = 0;
  std::string token;
  std::string data;
};

}  // namespace nimbus::telemetry
