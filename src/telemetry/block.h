// What the writer moves: rows of one table as RowBinary, under a token. A block goes into ClickHouse
// or into the spool whole, and keeps its token until it is stored, so that trying again is safe.
//
// Threads: values.
#pragma once

#include <cstdint>
#include <string>

#include "telemetry/tables.h"

namespace nimbus::telemetry {

constexpr size_t kBlockBytesMax = size_t{8} << 20;
constexpr uint32_t kBlockRowsMax = 200'000;

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
