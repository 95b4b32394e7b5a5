#include "telemetry/schema.h"

namespace nimbus::telemetry {
namespace {

// Durable once inserted, deduplicated by token, dropped by whole parts. The owner comes first in
// every sorting key, so one org's query never reads another's rows; org names compare without case.
// Partitions and retention go by arrival: the time a guest claims is data, not a reason to open a
// partition.
#define NIMBUS_STORAGE(arrival)                                                      \
  "PARTITION BY toYYYYMM(" arrival                                                   \
  ")\n"                                                                              \
  "TTL toDateTime(" arrival                                                          \
  ") + INTERVAL 90 DAY\n"                                                            \
  "SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000,\n" \
  "  fsync_after_insert = 1, fsync_part_directory = 1,\n"                            \
  "  min_compressed_bytes_to_fsync_after_merge = 1"
#define NIMBUS_ATTRIBUTES "Map(LowCardinality(String), String) CODEC(ZSTD(1))"
#define NIMBUS_NANOS "DateTime64(9) CODEC(Delta(8), ZSTD(1))"
#define NIMBUS_OWNER                 \
  "  Org LowCardinality(String),\n"  \
  "  Repo LowCardinality(String),\n" \
  "  JobId Int64,\n"                 \
  "  Fence Int64,\n"
#define NIMBUS_ARRIVAL "  IngestedAt DateTime64(3) DEFAULT now64(3)"

constexpr std::string_view kJobLogs =
    R"(CREATE TABLE IF NOT EXISTS job_logs (
  org LowCardinality(String),
  repo LowCardinality(String),
  job Int64,
  fence Int64,
  stream LowCardinality(String),
  seq Int64 CODEC(Delta(8), ZSTD(1)),
  ts )" NIMBUS_NANOS R"(,
  text String CODEC(ZSTD(1)),
  partial Bool,
  level LowCardinality(String),
  ingested_at DateTime64(3) DEFAULT now64(3) CODEC(Delta(8), ZSTD(1)),
  INDEX ts_range ts TYPE minmax GRANULARITY 1
) ENGINE = ReplacingMergeTree
ORDER BY (lower(org), repo, job, fence, seq)
)" NIMBUS_STORAGE("ingested_at");

constexpr std::string_view kOtelTraces =
    "CREATE TABLE IF NOT EXISTS otel_traces (\n" NIMBUS_OWNER R"(  Timestamp )" NIMBUS_NANOS R"(,
  TraceId String CODEC(ZSTD(1)),
  SpanId String CODEC(ZSTD(1)),
  ParentSpanId String CODEC(ZSTD(1)),
  TraceState String CODEC(ZSTD(1)),
  SpanName LowCardinality(String),
  SpanKind LowCardinality(String),
  ServiceName LowCardinality(String),
  ResourceAttributes )" NIMBUS_ATTRIBUTES R"(,
  ScopeName String CODEC(ZSTD(1)),
  ScopeVersion String CODEC(ZSTD(1)),
  SpanAttributes )" NIMBUS_ATTRIBUTES R"(,
  Duration UInt64 CODEC(ZSTD(1)),
  StatusCode LowCardinality(String),
  StatusMessage String CODEC(ZSTD(1)),
  Events Nested (Timestamp DateTime64(9), Name LowCardinality(String),
    Attributes Map(LowCardinality(String), String)),
  Links Nested (TraceId String, SpanId String, TraceState String,
    Attributes Map(LowCardinality(String), String)),
)" NIMBUS_ARRIVAL R"(,
  INDEX trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
  INDEX span_attribute_key mapKeys(SpanAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
  INDEX span_attribute_value mapValues(SpanAttributes) TYPE bloom_filter(0.01) GRANULARITY 1
) ENGINE = ReplacingMergeTree
ORDER BY (lower(Org), Repo, JobId, toDateTime(Timestamp), TraceId, SpanId)
)" NIMBUS_STORAGE("IngestedAt");

constexpr std::string_view kOtelLogs =
    "CREATE TABLE IF NOT EXISTS otel_logs (\n" NIMBUS_OWNER R"(  Timestamp )" NIMBUS_NANOS R"(,
  TimestampTime DateTime DEFAULT toDateTime(Timestamp),
  TraceId String CODEC(ZSTD(1)),
  SpanId String CODEC(ZSTD(1)),
  TraceFlags UInt8,
  SeverityText LowCardinality(String),
  SeverityNumber UInt8,
  ServiceName LowCardinality(String),
  Body String CODEC(ZSTD(1)),
  ResourceSchemaUrl LowCardinality(String),
  ResourceAttributes )" NIMBUS_ATTRIBUTES R"(,
  ScopeSchemaUrl LowCardinality(String),
  ScopeName String CODEC(ZSTD(1)),
  ScopeVersion LowCardinality(String),
  ScopeAttributes )" NIMBUS_ATTRIBUTES R"(,
  LogAttributes )" NIMBUS_ATTRIBUTES R"(,
  EventName String CODEC(ZSTD(1)),
)" NIMBUS_ARRIVAL R"(,
  INDEX time_range Timestamp TYPE minmax GRANULARITY 1,
  INDEX trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
  INDEX body Body TYPE tokenbf_v1(32768, 3, 0) GRANULARITY 8
) ENGINE = MergeTree
ORDER BY (lower(Org), Repo, JobId, Timestamp)
)" NIMBUS_STORAGE("IngestedAt");

#define NIMBUS_METRIC(name, values)                                                                \
  "CREATE TABLE IF NOT EXISTS " name " (\n" NIMBUS_OWNER "  ResourceAttributes " NIMBUS_ATTRIBUTES \
  ",\n"                                                                                            \
  "  ResourceSchemaUrl String CODEC(ZSTD(1)),\n"                                                   \
  "  ScopeName String CODEC(ZSTD(1)),\n"                                                           \
  "  ScopeVersion String CODEC(ZSTD(1)),\n"                                                        \
  "  ScopeAttributes " NIMBUS_ATTRIBUTES                                                           \
  ",\n"                                                                                            \
  "  ScopeDroppedAttrCount UInt32,\n"                                                              \
  "  ScopeSchemaUrl String CODEC(ZSTD(1)),\n"                                                      \
  "  ServiceName LowCardinality(String),\n"                                                        \
  "  MetricName String CODEC(ZSTD(1)),\n"                                                          \
  "  MetricDescription String CODEC(ZSTD(1)),\n"                                                   \
  "  MetricUnit String CODEC(ZSTD(1)),\n"                                                          \
  "  Attributes " NIMBUS_ATTRIBUTES                                                                \
  ",\n"                                                                                            \
  "  StartTimeUnix " NIMBUS_NANOS                                                                  \
  ",\n"                                                                                            \
  "  TimeUnix " NIMBUS_NANOS ",\n" values                                                          \
  "  Exemplars Nested (FilteredAttributes Map(LowCardinality(String), String),\n"                  \
  "    TimeUnix DateTime64(9), Value Float64, SpanId String, TraceId String),\n" NIMBUS_ARRIVAL    \
  "\n"                                                                                             \
  ") ENGINE = MergeTree\n"                                                                         \
  "ORDER BY (lower(Org), Repo, JobId, MetricName, "                                                \
  "toUnixTimestamp64Nano(TimeUnix))\n" NIMBUS_STORAGE("IngestedAt")

constexpr std::string_view kGauge = NIMBUS_METRIC("otel_metrics_gauge",
                                                  "  Value Float64,\n"
                                                  "  Flags UInt32,\n");
constexpr std::string_view kSum = NIMBUS_METRIC("otel_metrics_sum",
                                                "  Value Float64,\n"
                                                "  Flags UInt32,\n"
                                                "  AggregationTemporality Int32,\n"
                                                "  IsMonotonic Bool,\n");
constexpr std::string_view kHistogram = NIMBUS_METRIC("otel_metrics_histogram",
                                                      "  Count UInt64,\n"
                                                      "  Sum Float64,\n"
                                                      "  BucketCounts Array(UInt64),\n"
                                                      "  ExplicitBounds Array(Float64),\n"
                                                      "  Min Float64,\n"
                                                      "  Max Float64,\n"
                                                      "  Flags UInt32,\n"
                                                      "  AggregationTemporality Int32,\n");

constexpr std::string_view kEvalCases =
    R"(CREATE TABLE IF NOT EXISTS eval_cases (
  org LowCardinality(String),
  repo LowCardinality(String),
  job Int64,
  fence Int64,
  suite LowCardinality(String),
  run String CODEC(ZSTD(1)),
  case String CODEC(ZSTD(1)),
  metric LowCardinality(String),
  model LowCardinality(String),
  score Nullable(Float64),
  passed Nullable(Bool),
  label LowCardinality(String),
  input_tokens Nullable(Int64),
  output_tokens Nullable(Int64),
  duration_ms Nullable(Float64),
  error String CODEC(ZSTD(1)),
  trace_id String CODEC(ZSTD(1)),
  span_id String CODEC(ZSTD(1)),
  ts )" NIMBUS_NANOS R"(,
  ingested_at DateTime64(3) DEFAULT now64(3)
) ENGINE = ReplacingMergeTree
ORDER BY (lower(org), repo, job, fence, suite, run, case, metric, trace_id, span_id)
)" NIMBUS_STORAGE("ingested_at");

}  // namespace

std::span<const SchemaMigration> schema_migrations() {
  static const std::vector<SchemaMigration> kMigrations = {
      {1,
       "job logs",
       "Every line a job wrote. (job, fence, seq) names a line; `seq` counts from 1 without gaps, "
       "so "
       "a missing line shows. `level` is read from the text at arrival (`::error::`, `ERROR`, …).",
       {kJobLogs}},
      {2,
       "OpenTelemetry traces and logs",
       "What jobs send to /v1/traces and /v1/logs, with the column names of the OpenTelemetry "
       "Collector's ClickHouse exporter, so that boards made for it work. Org, Repo, JobId and "
       "Fence "
       "come from the sender's credential; what a resource claims about them is overwritten.",
       {kOtelTraces, kOtelLogs}},
      {3,
       "OpenTelemetry metrics",
       "Gauges, sums and histograms sent to /v1/metrics; the exporter's columns again. Exemplars "
       "are "
       "not filled. Exponential histograms and summaries are counted, not stored.",
       {kGauge, kSum, kHistogram}},
      {4,
       "eval results",
       "One row per case and metric, taken from spans and `gen_ai.evaluation.result` events as "
       "they "
       "arrive. Absent values are NULL.",
       {kEvalCases}},
  };
  return kMigrations;
}

}  // namespace nimbus::telemetry
