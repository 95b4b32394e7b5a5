// OTLP in protobuf, by the field numbers of opentelemetry-proto v1. Read by hand and not by
// generated code, because what is made of it is counted.
#include <bit>
#include <utility>

#include "base/encoding.h"
#include "base/protobuf.h"
#include "telemetry/line_json.h"
#include "telemetry/otlp.h"

namespace nimbus::telemetry {
namespace {

using Field = ProtobufField;
using Message = ProtobufReader;

class Decoder {
 public:
  Decoder(OtlpSignal signal, OtlpRequest& request) : signal_(signal), request_(request) {}

  // False: malformed.
  bool read_request(std::string_view bytes);

 private:
  bool read_resource_group(std::string_view bytes, OtlpResourceGroup& group);
  bool read_scope_group(std::string_view bytes, OtlpScopeGroup& group);
  bool read_item(std::string_view bytes, OtlpScopeGroup& group);
  bool read_resource(std::string_view bytes, OtlpResource& resource);
  bool read_scope(std::string_view bytes, OtlpScope& scope);
  bool read_span(std::string_view bytes, OtlpSpan& span);
  bool read_event(std::string_view bytes, OtlpEvent& event);
  bool read_link(std::string_view bytes, OtlpLink& link);
  bool read_status(std::string_view bytes, OtlpSpan& span);
  bool read_log(std::string_view bytes, OtlpLogRecord& record);
  bool read_metric(std::string_view bytes, OtlpMetric& metric);
  bool read_points(std::string_view bytes, OtlpMetric& metric);
  bool read_point(std::string_view bytes, OtlpMetric::Kind kind, OtlpPoint& point);
  bool read_number_field(const Field& field, OtlpPoint& point);
  bool read_histogram_field(const Field& field, OtlpPoint& point);
  bool read_attribute(const Field& field, Attributes& attributes);
  bool read_value(std::string_view bytes, std::string& text, int depth, bool inside);
  bool read_pairs(std::string_view bytes, std::string& text, int depth);
  bool read_values(std::string_view bytes, std::string& text, int depth);
  void reject(std::string_view reason) {
    ++request_.rejected;
    if (request_.reason.empty()) request_.reason = reason;
  }

  OtlpSignal signal_;
  OtlpRequest& request_;
  OtlpBudget budget_;
};

constexpr std::string_view kTooMany = "the request holds too many things; send smaller batches";

bool Decoder::read_request(std::string_view bytes) {
  Message message(bytes);
  for (Field field; message.next(field);) {
    if (field.number != 1 || !field.is_bytes()) continue;
    if (!budget_.take()) {
      reject(kTooMany);
      continue;
    }
    if (!read_resource_group(field.bytes, request_.groups.emplace_back())) return false;
  }
  return !message.broken();
}

bool Decoder::read_resource_group(std::string_view bytes, OtlpResourceGroup& group) {
  Message message(bytes);
  for (Field field; message.next(field);) {
    if (!field.is_bytes()) continue;
    bool good = true;
    if (field.number == 1) good = read_resource(field.bytes, group.resource);
    if (field.number == 3) group.resource.schema_url = otlp_text(field.bytes);
    if (field.number == 2 && budget_.take()) {
      good = read_scope_group(field.bytes, group.scopes.emplace_back());
    }
    if (!good) return false;
  }
  return !message.broken();
}

bool Decoder::read_scope_group(std::string_view bytes, OtlpScopeGroup& group) {
  Message message(bytes);
  for (Field field; message.next(field);) {
    if (!field.is_bytes()) continue;
    bool good = true;
    if (field.number == 1) good = read_scope(field.bytes, group.scope);
    if (field.number == 2) good = read_item(field.bytes, group);
    if (field.number == 3) group.scope.schema_url = otlp_text(field.bytes);
    if (!good) return false;
  }
  return !message.broken();
}

bool Decoder::read_item(std::string_view bytes, OtlpScopeGroup& group) {
  if (!budget_.take()) {
    reject(kTooMany);
    return true;
  }
  if (signal_ == OtlpSignal::metrics) return read_metric(bytes, group.metrics.emplace_back());
  if (signal_ == OtlpSignal::logs) return read_log(bytes, group.logs.emplace_back());
  OtlpSpan& span = group.spans.emplace_back();
  if (!read_span(bytes, span)) return false;
  if (span.trace_id.empty() || span.span_id.empty()) {
    reject("a span needs a trace id of 16 bytes and a span id of 8");
    group.spans.pop_back();
  }
  return true;
}

bool Decoder::read_resource(std::string_view bytes, OtlpResource& resource) {
  Message message(bytes);
  for (Field field; message.next(field);) {
    if (field.number == 1 && !read_attribute(field, resource.attributes)) return false;
  }
  return !message.broken();
}

bool Decoder::read_scope(std::string_view bytes, OtlpScope& scope) {
  Message message(bytes);
  for (Field field; message.next(field);) {
    if (field.number == 1) scope.name = otlp_text(field.bytes);
    if (field.number == 2) scope.version = otlp_text(field.bytes);
    if (field.number == 3 && !read_attribute(field, scope.attributes)) return false;
    if (field.number == 4) scope.dropped_attributes = static_cast<uint32_t>(field.value);
  }
  return !message.broken();
}

bool Decoder::read_span(std::string_view bytes, OtlpSpan& span) {
  Message message(bytes);
  for (Field field; message.next(field);) {
    bool good = true;
    switch (field.number) {
      case 1:
        if (valid_id(field.bytes, 16)) span.trace_id = to_hex(field.bytes);
        break;
      case 2:
        if (valid_id(field.bytes, 8)) span.span_id = to_hex(field.bytes);
        break;
      case 3: span.trace_state = otlp_text(field.bytes); break;
      case 4:
        if (valid_id(field.bytes, 8)) span.parent_span_id = to_hex(field.bytes);
        break;
      case 5: span.name = otlp_text(field.bytes); break;
      case 6: span.kind = static_cast<int>(field.value); break;
      case 7: span.start_ns = field.value; break;
      case 8: span.end_ns = field.value; break;
      case 9: good = read_attribute(field, span.attributes); break;
      case 11:
        if (budget_.take()) good = read_event(field.bytes, span.events.emplace_back());
        break;
      case 13:
        if (budget_.take()) good = read_link(field.bytes, span.links.emplace_back());
        break;
      case 15: good = read_status(field.bytes, span); break;
      default: break;
    }
    if (!good) return false;
  }
  return !message.broken();
}

bool Decoder::read_event(std::string_view bytes, OtlpEvent& event) {
  Message message(bytes);
  for (Field field; message.next(field);) {
    if (field.number == 1) event.time_ns = field.value;
    if (field.number == 2) event.name = otlp_text(field.bytes);
    if (field.number == 3 && !read_attribute(field, event.attributes)) return false;
  }
  return !message.broken();
}

bool Decoder::read_link(std::string_view bytes, OtlpLink& link) {
  Message message(bytes);
  for (Field field; message.next(field);) {
    if (field.number == 1 && valid_id(field.bytes, 16)) link.trace_id = to_hex(field.bytes);
    if (field.number == 2 && valid_id(field.bytes, 8)) link.span_id = to_hex(field.bytes);
    if (field.number == 3) link.trace_state = otlp_text(field.bytes);
    if (field.number == 4 && !read_attribute(field, link.attributes)) return false;
  }
  return !message.broken();
}

bool Decoder::read_status(std::string_view bytes, OtlpSpan& span) {
  Message message(bytes);
  for (Field field; message.next(field);) {
    if (field.number == 2) span.status_message = otlp_text(field.bytes);
    if (field.number == 3) span.status = static_cast<int>(field.value);
  }
  return !message.broken();
}

bool Decoder::read_log(std::string_view bytes, OtlpLogRecord& record) {
  Message message(bytes);
  for (Field field; message.next(field);) {
    bool good = true;
    switch (field.number) {
      case 1: record.time_ns = field.value; break;
      case 2: record.severity = static_cast<int>(field.value); break;
      case 3: record.severity_text = otlp_text(field.bytes); break;
      case 5: good = read_value(field.bytes, record.body, 0, false); break;
      case 6: good = read_attribute(field, record.attributes); break;
      case 8: record.flags = static_cast<uint32_t>(field.value); break;
      case 9:
        if (valid_id(field.bytes, 16)) record.trace_id = to_hex(field.bytes);
        break;
      case 10:
        if (valid_id(field.bytes, 8)) record.span_id = to_hex(field.bytes);
        break;
      case 11: record.observed_ns = field.value; break;
      case 12: record.event_name = otlp_text(field.bytes); break;
      default: break;
    }
    if (!good) return false;
  }
  return !message.broken();
}

bool Decoder::read_metric(std::string_view bytes, OtlpMetric& metric) {
  Message message(bytes);
  for (Field field; message.next(field);) {
    if (field.number == 1) metric.name = otlp_text(field.bytes);
    if (field.number == 2) metric.description = otlp_text(field.bytes);
    if (field.number == 3) metric.unit = otlp_text(field.bytes);
    const bool data = field.is_bytes() && (field.number == 5 || field.number == 7 ||
                                           (field.number >= 9 && field.number <= 11));
    if (!data) continue;
    metric.kind = field.number == 5   ? OtlpMetric::Kind::gauge
                  : field.number == 7 ? OtlpMetric::Kind::sum
                  : field.number == 9 ? OtlpMetric::Kind::histogram
                                      : OtlpMetric::Kind::other;
    if (!read_points(field.bytes, metric)) return false;
  }
  return !message.broken();
}

bool Decoder::read_points(std::string_view bytes, OtlpMetric& metric) {
  Message message(bytes);
  for (Field field; message.next(field);) {
    if (field.number == 2 && field.wire == 0) metric.temporality = static_cast<int>(field.value);
    if (field.number == 3 && field.wire == 0) metric.monotonic = field.value != 0;
    if (field.number != 1 || !field.is_bytes()) continue;
    if (!budget_.take()) {
      reject(kTooMany);
      continue;
    }
    if (metric.kind == OtlpMetric::Kind::other) {
      reject("exponential histograms and summaries are not kept");
      continue;
    }
    if (!read_point(field.bytes, metric.kind, metric.points.emplace_back())) return false;
  }
  return !message.broken();
}

bool Decoder::read_point(std::string_view bytes, OtlpMetric::Kind kind, OtlpPoint& point) {
  Message message(bytes);
  for (Field field; message.next(field);) {
    if (field.number == 2) point.start_ns = field.value;
    if (field.number == 3) point.time_ns = field.value;
    const bool good = kind == OtlpMetric::Kind::histogram ? read_histogram_field(field, point)
                                                          : read_number_field(field, point);
    if (!good) return false;
  }
  return !message.broken();
}

bool Decoder::read_number_field(const Field& field, OtlpPoint& point) {
  if (field.number == 4) point.value = field.real();
  if (field.number == 6) point.value = static_cast<double>(static_cast<int64_t>(field.value));
  if (field.number == 8) point.flags = static_cast<uint32_t>(field.value);
  return field.number != 7 || read_attribute(field, point.attributes);
}

bool Decoder::read_histogram_field(const Field& field, OtlpPoint& point) {
  switch (field.number) {
    case 4: point.count = field.value; return true;
    case 5: point.sum = field.real(); return true;
    case 9: return read_attribute(field, point.attributes);
    case 10: point.flags = static_cast<uint32_t>(field.value); return true;
    case 11: point.min = field.real(); return true;
    case 12: point.max = field.real(); return true;
    case 6:
    case 7: break;
    default: return true;
  }
  // Buckets: packed, or one field each.
  Message numbers(field.bytes);
  const size_t count = field.is_bytes() ? field.bytes.size() / 8 : 1;
  if (!budget_.take(count)) return true;
  for (size_t i = 0; i < count; ++i) {
    const uint64_t raw = field.is_bytes() ? numbers.fixed(8) : field.value;
    if (field.number == 6) point.bucket_counts.push_back(raw);
    if (field.number == 7) point.bounds.push_back(std::bit_cast<double>(raw));
  }
  return true;
}

bool Decoder::read_attribute(const Field& field, Attributes& attributes) {
  if (!field.is_bytes()) return false;
  if (attributes.size() >= kOtlpAttributesMax || !budget_.take()) return true;
  auto& [key, text] = attributes.emplace_back();
  Message message(field.bytes);
  for (Field part; message.next(part);) {
    if (part.number == 1) key = otlp_text(part.bytes);
    if (part.number == 2 && !read_value(part.bytes, text, 0, false)) return false;
  }
  if (text.size() > kOtlpTextBytesMax) text = otlp_text(text);
  return !message.broken();
}

// `inside`: within an array or map, where texts get quotes. The text is JSON there.
bool Decoder::read_value(std::string_view bytes, std::string& text, int depth, bool inside) {
  if (depth > kOtlpDepthMax) return false;
  Message message(bytes);
  const size_t start = text.size();
  for (Field field; message.next(field);) {
    bool good = true;
    text.resize(start);
    switch (field.number) {
      case 1:
        if (inside)
          append_json_text(text, otlp_text(field.bytes));
        else
          text += otlp_text(field.bytes);
        break;
      case 2: text += field.value != 0 ? "true" : "false"; break;
      case 3: text += std::to_string(static_cast<int64_t>(field.value)); break;
      case 4: text += otlp_number(field.real(), inside); break;
      case 5: good = read_values(field.bytes, text, depth + 1); break;
      case 6: good = read_pairs(field.bytes, text, depth + 1); break;
      case 7:
        if (inside)
          append_json_text(text, to_base64(field.bytes));
        else
          text += to_base64(field.bytes);
        break;
      default: break;
    }
    if (!good) return false;
  }
  if (inside && text.size() == start) text += "null";
  return !message.broken();
}

bool Decoder::read_values(std::string_view bytes, std::string& text, int depth) {
  text += '[';
  bool first = true;
  Message message(bytes);
  for (Field field; message.next(field);) {
    if (field.number != 1 || !budget_.take()) continue;
    if (!std::exchange(first, false)) text += ',';
    if (!read_value(field.bytes, text, depth, true)) return false;
  }
  text += ']';
  return !message.broken();
}

bool Decoder::read_pairs(std::string_view bytes, std::string& text, int depth) {
  text += '{';
  bool first = true;
  Message message(bytes);
  for (Field field; message.next(field);) {
    if (field.number != 1 || !budget_.take()) continue;
    if (!std::exchange(first, false)) text += ',';
    std::string key;
    std::string value = "null";
    Message pair(field.bytes);
    for (Field part; pair.next(part);) {
      if (part.number == 1) key = otlp_text(part.bytes);
      if (part.number != 2) continue;
      value.clear();
      if (!read_value(part.bytes, value, depth, true)) return false;
    }
    if (pair.broken()) return false;
    append_json_text(text, key);
    text += ':';
    text += value;
  }
  text += '}';
  return !message.broken();
}

}  // namespace

Result<OtlpRequest> parse_otlp_protobuf(OtlpSignal signal, std::string_view bytes) {
  OtlpRequest request;
  Decoder decoder(signal, request);
  if (!decoder.read_request(bytes)) {
    return fail(Code::bad_request, "the body is not an OTLP export request in protobuf");
  }
  return request;
}

}  // namespace nimbus::telemetry
