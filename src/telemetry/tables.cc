#include "telemetry/tables.h"

namespace nimbus::telemetry {
namespace {

// Before the exporter's own columns in every otel_ table.
#define NIMBUS_OWNER "Org, Repo, JobId, Fence, "
#define NIMBUS_METRIC                                                                   \
  NIMBUS_OWNER                                                                          \
  "ResourceAttributes, ResourceSchemaUrl, ScopeName, ScopeVersion, ScopeAttributes, "   \
  "ScopeDroppedAttrCount, ScopeSchemaUrl, ServiceName, MetricName, MetricDescription, " \
  "MetricUnit, Attributes, StartTimeUnix, TimeUnix, "

std::string_view columns(Table table) {
  switch (table) {
    case Table::job_logs: return "org, repo, job, fence, stream, seq, ts, text, partial, level";
    case Table::otel_traces:
      return NIMBUS_OWNER
          "Timestamp, TraceId, SpanId, ParentSpanId, TraceState, SpanName, SpanKind, ServiceName, "
          "ResourceAttributes, ScopeName, ScopeVersion, SpanAttributes, Duration, StatusCode, "
          "StatusMessage, Events.Timestamp, Events.Name, Events.Attributes, Links.TraceId, "
          "Links.SpanId, Links.TraceState, Links.Attributes";
    case Table::otel_logs:
      return NIMBUS_OWNER
          "Timestamp, TraceId, SpanId, TraceFlags, SeverityText, SeverityNumber, ServiceName, "
          "Body, ResourceSchemaUrl, ResourceAttributes, ScopeSchemaUrl, ScopeName, ScopeVersion, "
          "ScopeAttributes, LogAttributes, EventName";
    case Table::otel_metrics_gauge: return NIMBUS_METRIC "Value, Flags";
    case Table::otel_metrics_sum:
      return NIMBUS_METRIC "Value, Flags, AggregationTemporality, IsMonotonic";
    case Table::otel_metrics_histogram:
      return NIMBUS_METRIC
          "Count, Sum, BucketCounts, ExplicitBounds, Min, Max, Flags, AggregationTemporality";
    case Table::eval_cases:
      return "org, repo, job, fence, suite, run, case, metric, model, score, passed, label, "
             "input_tokens, output_tokens, duration_ms, error, trace_id, span_id, ts";
  }
  return {};
}

#undef NIMBUS_METRIC
#undef NIMBUS_OWNER

}  // namespace

std::string_view to_string(Table table) {
  switch (table) {
    case Table::job_logs: return "job_logs";
    case Table::otel_traces: return "otel_traces";
    case Table::otel_logs: return "otel_logs";
    case Table::otel_metrics_gauge: return "otel_metrics_gauge";
    case Table::otel_metrics_sum: return "otel_metrics_sum";
    case Table::otel_metrics_histogram: return "otel_metrics_histogram";
    case Table::eval_cases: return "eval_cases";
  }
  return {};
}

std::optional<Table> find_table(uint8_t number) {
  if (number < 1 || number > kTables) return std::nullopt;
  return static_cast<Table>(number);
}

std::string insert_head(Table table) {
  return "INSERT INTO " + std::string(to_string(table)) + " (" + std::string(columns(table)) + ")";
}

}  // namespace nimbus::telemetry
