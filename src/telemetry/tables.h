// The tables that batches go to, and the order of their columns in RowBinary. One home for what the
// encoders (log_rows.cc, otlp_rows.cc, eval_rows.cc), the writer and the migrations must agree on.
//
// Threads: constants.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nimbus::telemetry {

// The numbers stand in spool files: never reuse one.
enum class Table : uint8_t {
  job_logs = 1,
  otel_traces = 2,
  otel_logs = 3,
  otel_metrics_gauge = 4,
  otel_metrics_sum = 5,
  otel_metrics_histogram = 6,
  eval_cases = 7,
};
constexpr size_t kTables = 7;

std::string_view to_string(Table table);
std::optional<Table> find_table(uint8_t number);
// "INSERT INTO job_logs (org, repo, …)".
std::string insert_head(Table table);

}  // namespace nimbus::telemetry
