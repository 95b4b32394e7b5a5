#include "telemetry/otlp_rows.h"

#include <algorithm>
#include <array>

#include "access/scope.h"
#include "telemetry/row_binary.h"

namespace nimbus::telemetry {
namespace {

constexpr std::array<std::string_view, 6> kSpanKinds = {"Unspecified", "Internal", "Server",
                                                        "Client",      "Producer", "Consumer"};
constexpr std::array<std::string_view, 3> kStatusCodes = {"Unset", "Ok", "Error"};
constexpr size_t kStatusError = 2;
constexpr size_t kBatchBytes = size_t{2} << 20;

template <size_t N>
std::string_view name_of(const std::array<std::string_view, N>& names, int number) {
  return number >= 0 && static_cast<size_t>(number) < N ? names[static_cast<size_t>(number)]
                                                        : names[0];
}

int64_t clamp_ns(uint64_t ns) { return static_cast<int64_t>(std::min<uint64_t>(ns, INT64_MAX)); }

// One table's rows in the making.
struct Rows {
  Table table;
  RowWriter writer;
  uint32_t count = 0;

  void into(std::vector<RowBatch>& batches) {
    if (count == 0) return;
    RowBatch batch;
    batch.table = table;
    batch.rows = std::exchange(count, 0);
    batch.data = std::exchange(writer, {}).take();
    batches.push_back(std::move(batch));
  }
};

void write_map(RowWriter& row, const Attributes& attributes) {
  row.size(attributes.size());
  for (const auto& [key, value] : attributes) {
    row.text(key);
    row.text(value);
  }
}

class Encoder {
 public:
  Encoder(const OtlpOwner& owner, int64_t now_ns) : owner_(owner), now_ns_(now_ns) {}

  // How many items did not fit.
  uint64_t add(OtlpResourceGroup& group) {
    claim(group.resource);
    uint64_t left_out = 0;
    for (OtlpScopeGroup& scope : group.scopes) {
      for (OtlpSpan& span : scope.spans) {
        if (fits())
          add_span(group.resource, scope.scope, span);
        else
          ++left_out;
      }
      for (OtlpLogRecord& record : scope.logs) {
        if (fits())
          add_log(group.resource, scope.scope, record);
        else
          ++left_out;
      }
      for (const OtlpMetric& metric : scope.metrics) {
        if (fits())
          add_metric(group.resource, scope.scope, metric);
        else
          left_out += metric.points.size();
      }
    }
    return left_out;
  }

  std::vector<RowBatch> take() {
    for (Rows* rows : all_) rows->into(batches_);
    return std::move(batches_);
  }

 private:
  // Every row repeats its resource: a small request could become an enormous one.
  bool fits() {
    size_t bytes = 0;
    for (Rows* rows : all_) {
      if (rows->writer.bytes().size() >= kBatchBytes) {
        taken_ += rows->writer.bytes().size();
        rows->into(batches_);
      }
      bytes += rows->writer.bytes().size();
    }
    return taken_ + bytes < kOtlpRowBytesMax;
  }
  void claim(OtlpResource& resource);
  void add_span(const OtlpResource& resource, const OtlpScope& scope, OtlpSpan& span);
  void add_log(const OtlpResource& resource, const OtlpScope& scope, OtlpLogRecord& record);
  void add_metric(const OtlpResource& resource, const OtlpScope& scope, const OtlpMetric& metric);
  void add_point(Rows& rows, const OtlpResource& resource, const OtlpScope& scope,
                 const OtlpMetric& metric, const OtlpPoint& point);
  void add_evals(const evals::EvalSource& source);
  void write_owner(RowWriter& row);
  void write_events(RowWriter& row, const std::vector<OtlpEvent>& events);
  void write_links(RowWriter& row, const std::vector<OtlpLink>& links);

  OtlpOwner owner_;
  int64_t now_ns_;
  std::string repo_;     // of the resource in hand
  std::string service_;  // likewise
  Rows traces_{Table::otel_traces, {}};
  Rows logs_{Table::otel_logs, {}};
  Rows gauges_{Table::otel_metrics_gauge, {}};
  Rows sums_{Table::otel_metrics_sum, {}};
  Rows histograms_{Table::otel_metrics_histogram, {}};
  Rows evals_{Table::eval_cases, {}};
  std::array<Rows*, 6> all_ = {&traces_, &logs_, &gauges_, &sums_, &histograms_, &evals_};
  std::vector<RowBatch> batches_;
  size_t taken_ = 0;
};

void Encoder::claim(OtlpResource& resource) {
  const std::string claimed(evals::find_attribute(resource.attributes, {"nimbus.repo"}));
  repo_ = owner_.repo;
  if (repo_.empty() && access::check_repo_name(claimed)) repo_ = claimed;
  std::erase_if(resource.attributes, [](const auto& attribute) {
    return attribute.first == "nimbus.org" || attribute.first == "nimbus.repo" ||
           attribute.first == "nimbus.job_id" || attribute.first == "nimbus.fence";
  });
  resource.attributes.emplace_back("nimbus.org", owner_.org);
  resource.attributes.emplace_back("nimbus.repo", repo_);
  if (owner_.job.value != 0) {
    resource.attributes.emplace_back("nimbus.job_id", std::to_string(owner_.job.value));
    resource.attributes.emplace_back("nimbus.fence", std::to_string(owner_.fence.value));
  }
  service_ = evals::find_attribute(resource.attributes, {"service.name"});
}

void Encoder::write_owner(RowWriter& row) {
  row.text(owner_.org);
  row.text(repo_);
  row.i64(owner_.job.value);
  row.i64(owner_.fence.value);
}

// A Nested column is an array for each of its parts.
void Encoder::write_events(RowWriter& row, const std::vector<OtlpEvent>& events) {
  row.size(events.size());
  for (const OtlpEvent& event : events) row.i64(clamp_ns(event.time_ns));
  row.size(events.size());
  for (const OtlpEvent& event : events) row.text(event.name);
  row.size(events.size());
  for (const OtlpEvent& event : events) write_map(row, event.attributes);
}

void Encoder::write_links(RowWriter& row, const std::vector<OtlpLink>& links) {
  row.size(links.size());
  for (const OtlpLink& link : links) row.text(link.trace_id);
  row.size(links.size());
  for (const OtlpLink& link : links) row.text(link.span_id);
  row.size(links.size());
  for (const OtlpLink& link : links) row.text(link.trace_state);
  row.size(links.size());
  for (const OtlpLink& link : links) write_map(row, link.attributes);
}

void Encoder::add_span(const OtlpResource& resource, const OtlpScope& scope, OtlpSpan& span) {
  evals::add_current_names(span.attributes);
  const int64_t start = span.start_ns != 0 ? clamp_ns(span.start_ns) : now_ns_;
  const uint64_t duration = span.end_ns > span.start_ns ? span.end_ns - span.start_ns : 0;
  RowWriter& row = traces_.writer;
  write_owner(row);
  row.i64(start);
  row.text(span.trace_id);
  row.text(span.span_id);
  row.text(span.parent_span_id);
  row.text(span.trace_state);
  row.text(span.name);
  row.text(name_of(kSpanKinds, span.kind));
  row.text(service_);
  write_map(row, resource.attributes);
  row.text(scope.name);
  row.text(scope.version);
  write_map(row, span.attributes);
  row.u64(duration);
  row.text(name_of(kStatusCodes, span.status));
  row.text(span.status_message);
  write_events(row, span.events);
  write_links(row, span.links);
  ++traces_.count;

  std::vector<const Attributes*> results;
  for (const OtlpEvent& event : span.events) {
    if (event.name == evals::kResultEvent) results.push_back(&event.attributes);
  }
  if (!evals::is_eval(span.attributes, !results.empty())) return;
  const std::string run = "job-" + std::to_string(owner_.job.value);
  add_evals({span.attributes, resource.attributes, std::move(results), span.trace_id, span.span_id,
             start, static_cast<double>(duration) / 1e6,
             span.status == static_cast<int>(kStatusError), span.status_message, run});
}

void Encoder::add_log(const OtlpResource& resource, const OtlpScope& scope, OtlpLogRecord& record) {
  if (record.event_name.empty()) {
    record.event_name = evals::find_attribute(record.attributes, {"event.name"});
  }
  const uint64_t given = record.time_ns != 0 ? record.time_ns : record.observed_ns;
  const int64_t time = given != 0 ? clamp_ns(given) : now_ns_;
  RowWriter& row = logs_.writer;
  write_owner(row);
  row.i64(time);
  row.text(record.trace_id);
  row.text(record.span_id);
  row.u8(static_cast<uint8_t>(record.flags));
  row.text(record.severity_text);
  row.u8(static_cast<uint8_t>(std::clamp(record.severity, 0, 24)));
  row.text(service_);
  row.text(record.body);
  row.text(resource.schema_url);
  write_map(row, resource.attributes);
  row.text(scope.schema_url);
  row.text(scope.name);
  row.text(scope.version);
  write_map(row, scope.attributes);
  write_map(row, record.attributes);
  row.text(record.event_name);
  ++logs_.count;

  const bool result = record.event_name == evals::kResultEvent;
  if (!result && !evals::is_eval(record.attributes, false)) return;
  const std::string run = "job-" + std::to_string(owner_.job.value);
  add_evals({record.attributes,
             resource.attributes,
             {},
             record.trace_id,
             record.span_id,
             time,
             std::nullopt,
             false,
             {},
             run});
}

void Encoder::add_metric(const OtlpResource& resource, const OtlpScope& scope,
                         const OtlpMetric& metric) {
  Rows* rows = nullptr;
  if (metric.kind == OtlpMetric::Kind::gauge) rows = &gauges_;
  if (metric.kind == OtlpMetric::Kind::sum) rows = &sums_;
  if (metric.kind == OtlpMetric::Kind::histogram) rows = &histograms_;
  if (rows == nullptr) return;
  for (const OtlpPoint& point : metric.points) add_point(*rows, resource, scope, metric, point);
}

void Encoder::add_point(Rows& rows, const OtlpResource& resource, const OtlpScope& scope,
                        const OtlpMetric& metric, const OtlpPoint& point) {
  RowWriter& row = rows.writer;
  write_owner(row);
  write_map(row, resource.attributes);
  row.text(resource.schema_url);
  row.text(scope.name);
  row.text(scope.version);
  write_map(row, scope.attributes);
  row.u32(scope.dropped_attributes);
  row.text(scope.schema_url);
  row.text(service_);
  row.text(metric.name);
  row.text(metric.description);
  row.text(metric.unit);
  write_map(row, point.attributes);
  row.i64(clamp_ns(point.start_ns));
  row.i64(point.time_ns != 0 ? clamp_ns(point.time_ns) : now_ns_);
  if (metric.kind == OtlpMetric::Kind::histogram) {
    row.u64(point.count);
    row.f64(point.sum);
    row.size(point.bucket_counts.size());
    for (const uint64_t count : point.bucket_counts) row.u64(count);
    row.size(point.bounds.size());
    for (const double bound : point.bounds) row.f64(bound);
    row.f64(point.min);
    row.f64(point.max);
  } else {
    row.f64(point.value);
  }
  row.u32(point.flags);
  if (metric.kind != OtlpMetric::Kind::gauge) row.u32(static_cast<uint32_t>(metric.temporality));
  if (metric.kind == OtlpMetric::Kind::sum) row.u8(metric.monotonic ? 1 : 0);
  ++rows.count;
}

template <typename T, typename Write>
void write_nullable(RowWriter& row, const std::optional<T>& value, Write write) {
  row.null_mark(!value.has_value());
  if (value) write(*value);
}

void Encoder::add_evals(const evals::EvalSource& source) {
  for (const evals::EvalCase& one : evals::cases_of(source)) {
    RowWriter& row = evals_.writer;
    write_owner(row);
    row.text(one.suite);
    row.text(one.run);
    row.text(one.case_id);
    row.text(one.metric);
    row.text(one.model);
    write_nullable(row, one.score, [&row](double value) { row.f64(value); });
    write_nullable(row, one.passed, [&row](bool value) { row.u8(value ? 1 : 0); });
    row.text(one.label);
    write_nullable(row, one.input_tokens, [&row](int64_t value) { row.i64(value); });
    write_nullable(row, one.output_tokens, [&row](int64_t value) { row.i64(value); });
    write_nullable(row, one.duration_ms, [&row](double value) { row.f64(value); });
    row.text(one.error);
    row.text(one.trace_id);
    row.text(one.span_id);
    row.i64(one.ts_ns);
    ++evals_.count;
  }
}

}  // namespace

std::vector<RowBatch> otlp_rows(OtlpRequest& request, const OtlpOwner& owner, int64_t now_ns) {
  Encoder encoder(owner, now_ns);
  for (OtlpResourceGroup& group : request.groups) {
    const uint64_t left_out = encoder.add(group);
    request.rejected += left_out;
    if (left_out > 0 && request.reason.empty()) {
      request.reason =
          "the request is too large once each item has its resource; send smaller batches";
    }
  }
  return encoder.take();
}

}  // namespace nimbus::telemetry
