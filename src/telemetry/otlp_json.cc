// OTLP in JSON (proto3 JSON mapping with OTLP's own rules): lowerCamelCase, ids in hexadecimal,
// 64-bit numbers as text or as numbers, enums as integers, unknown fields ignored.
#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

#include <charconv>
#include <limits>

#include "base/encoding.h"
#include "base/text.h"
#include "telemetry/line_json.h"
#include "telemetry/otlp.h"

namespace nimbus::telemetry {
namespace {

namespace ondemand = simdjson::ondemand;
using Value = ondemand::value;

constexpr std::string_view kTooMany = "the request holds too many things; send smaller batches";

bool read_text(Value value, std::string& out) {
  std::string_view text;
  ondemand::json_type type;
  if (value.type().get(type) != simdjson::SUCCESS) return false;
  if (type == ondemand::json_type::null) return !value.is_null().error();
  if (value.get_string().get(text) != simdjson::SUCCESS) return false;
  out = otlp_text(text);
  return true;
}

bool read_bool(Value value, bool& out) { return value.get_bool().get(out) == simdjson::SUCCESS; }

double special_number(std::string_view text) {
  if (text == "Infinity") return std::numeric_limits<double>::infinity();
  if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
  return std::numeric_limits<double>::quiet_NaN();
}

bool read_double(Value value, double& out) {
  ondemand::json_type type;
  if (value.type().get(type) != simdjson::SUCCESS) return false;
  if (type != ondemand::json_type::string) return value.get_double().get(out) == simdjson::SUCCESS;
  std::string_view text;
  if (value.get_string().get(text) != simdjson::SUCCESS) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error == std::errc{} && end == text.data() + text.size()) return true;
  out = special_number(text);
  return text == "NaN" || text == "Infinity" || text == "-Infinity";
}

// A 64-bit integer, signed or not, as a number or as decimal text.
template <typename T>
bool read_integer(Value value, T& out) {
  ondemand::json_type type;
  if (value.type().get(type) != simdjson::SUCCESS) return false;
  std::string_view text;
  if (type == ondemand::json_type::string) {
    if (value.get_string().get(text) != simdjson::SUCCESS) return false;
  } else if (type == ondemand::json_type::number) {
    text = trim(value.raw_json_token());
  } else if (type == ondemand::json_type::null) {
    return !value.is_null().error();
  } else {
    return false;
  }
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error == std::errc{} && end == text.data() + text.size()) return true;
  // 1.7954e18 or 12.0: a number all the same.
  double number = 0;
  const auto real = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = real.ec == std::errc{} && real.ptr == text.data() + text.size();
  if (!whole || !(number >= static_cast<double>(std::numeric_limits<T>::min())) ||
      !(number < static_cast<double>(std::numeric_limits<T>::max()))) {
    return false;
  }
  out = static_cast<T>(number);
  return true;
}

// Hexadecimal of the right length, or base64 as some exporters send; empty when it is neither.
bool read_id(Value value, size_t bytes, std::string& out) {
  std::string text;
  if (!read_text(value, text)) return false;
  auto raw = parse_hex(to_lower(text));
  if (!raw || raw->size() != bytes) raw = parse_base64(text);
  if (raw && valid_id(*raw, bytes)) out = to_hex(*raw);
  return true;
}

class Decoder {
 public:
  Decoder(OtlpSignal signal, OtlpRequest& request) : signal_(signal), request_(request) {}
  bool read_request(ondemand::object object);

 private:
  // Calls `read(key, value)` for each field, until one is malformed.
  template <typename Read>
  bool fields(Value value, Read read) {
    ondemand::object object;
    return value.get_object().get(object) == simdjson::SUCCESS && fields_of(object, read);
  }
  template <typename Read>
  bool fields_of(ondemand::object& object, Read read) {
    for (auto field : object) {
      std::string_view key;
      Value value;
      if (field.unescaped_key().get(key) != simdjson::SUCCESS) return false;
      if (field.value().get(value) != simdjson::SUCCESS) return false;
      if (!read(key, value)) return false;
    }
    return true;
  }
  template <typename Read>
  bool elements(Value value, Read read) {
    ondemand::json_type type;
    if (value.type().get(type) != simdjson::SUCCESS) return false;
    if (type == ondemand::json_type::null) return !value.is_null().error();
    ondemand::array array;
    if (value.get_array().get(array) != simdjson::SUCCESS) return false;
    for (auto element : array) {
      Value one;
      if (element.get(one) != simdjson::SUCCESS || !read(one)) return false;
    }
    return true;
  }

  bool read_resource_group(Value value, OtlpResourceGroup& group);
  bool read_scope_group(Value value, OtlpScopeGroup& group);
  bool read_item(Value value, OtlpScopeGroup& group);
  bool read_scope(Value value, OtlpScope& scope);
  bool read_span(Value value, OtlpSpan& span);
  bool read_event(Value value, OtlpEvent& event);
  bool read_link(Value value, OtlpLink& link);
  bool read_log(Value value, OtlpLogRecord& record);
  bool read_metric(Value value, OtlpMetric& metric);
  bool read_data(Value value, OtlpMetric& metric);
  bool read_point(Value value, OtlpPoint& point);
  bool read_attributes(Value value, Attributes& attributes);
  bool read_value(Value value, std::string& text, int depth, bool inside);
  bool read_values(Value value, std::string& text, int depth);
  bool read_pairs(Value value, std::string& text, int depth);
  void reject(std::string_view reason) {
    ++request_.rejected;
    if (request_.reason.empty()) request_.reason = reason;
  }

  OtlpSignal signal_;
  OtlpRequest& request_;
  OtlpBudget budget_;
};

bool Decoder::read_request(ondemand::object object) {
  const std::string_view wanted = signal_ == OtlpSignal::traces ? "resourceSpans"
                                  : signal_ == OtlpSignal::logs ? "resourceLogs"
                                                                : "resourceMetrics";
  return fields_of(object, [&](std::string_view key, Value value) {
    if (key != wanted) return true;
    return elements(value, [&](Value group) {
      if (!budget_.take()) {
        reject(kTooMany);
        return true;
      }
      return read_resource_group(group, request_.groups.emplace_back());
    });
  });
}

bool Decoder::read_resource_group(Value value, OtlpResourceGroup& group) {
  return fields(value, [&](std::string_view key, Value field) {
    if (key == "resource") {
      return fields(field, [&](std::string_view name, Value inner) {
        return name != "attributes" || read_attributes(inner, group.resource.attributes);
      });
    }
    if (key == "schemaUrl") return read_text(field, group.resource.schema_url);
    if (key != "scopeSpans" && key != "scopeLogs" && key != "scopeMetrics") return true;
    return elements(field, [&](Value scope) {
      return !budget_.take() || read_scope_group(scope, group.scopes.emplace_back());
    });
  });
}

bool Decoder::read_scope_group(Value value, OtlpScopeGroup& group) {
  return fields(value, [&](std::string_view key, Value field) {
    if (key == "scope") return read_scope(field, group.scope);
    if (key == "schemaUrl") return read_text(field, group.scope.schema_url);
    if (key != "spans" && key != "logRecords" && key != "metrics") return true;
    return elements(field, [&](Value item) { return read_item(item, group); });
  });
}

bool Decoder::read_item(Value value, OtlpScopeGroup& group) {
  if (!budget_.take()) {
    reject(kTooMany);
    return true;
  }
  if (signal_ == OtlpSignal::metrics) return read_metric(value, group.metrics.emplace_back());
  if (signal_ == OtlpSignal::logs) return read_log(value, group.logs.emplace_back());
  OtlpSpan& span = group.spans.emplace_back();
  if (!read_span(value, span)) return false;
  if (span.trace_id.empty() || span.span_id.empty()) {
    reject("a span needs a trace id of 16 bytes and a span id of 8");
    group.spans.pop_back();
  }
  return true;
}

bool Decoder::read_scope(Value value, OtlpScope& scope) {
  return fields(value, [&](std::string_view key, Value field) {
    if (key == "name") return read_text(field, scope.name);
    if (key == "version") return read_text(field, scope.version);
    if (key == "attributes") return read_attributes(field, scope.attributes);
    if (key == "droppedAttributesCount") return read_integer(field, scope.dropped_attributes);
    return true;
  });
}

bool Decoder::read_span(Value value, OtlpSpan& span) {
  return fields(value, [&](std::string_view key, Value field) {
    if (key == "traceId") return read_id(field, 16, span.trace_id);
    if (key == "spanId") return read_id(field, 8, span.span_id);
    if (key == "parentSpanId") return read_id(field, 8, span.parent_span_id);
    if (key == "traceState") return read_text(field, span.trace_state);
    if (key == "name") return read_text(field, span.name);
    if (key == "kind") return read_integer(field, span.kind);
    if (key == "startTimeUnixNano") return read_integer(field, span.start_ns);
    if (key == "endTimeUnixNano") return read_integer(field, span.end_ns);
    if (key == "attributes") return read_attributes(field, span.attributes);
    if (key == "events") {
      return elements(field, [&](Value event) {
        return !budget_.take() || read_event(event, span.events.emplace_back());
      });
    }
    if (key == "links") {
      return elements(field, [&](Value link) {
        return !budget_.take() || read_link(link, span.links.emplace_back());
      });
    }
    if (key == "status") {
      return fields(field, [&](std::string_view name, Value inner) {
        if (name == "code") return read_integer(inner, span.status);
        if (name == "message") return read_text(inner, span.status_message);
        return true;
      });
    }
    return true;
  });
}

bool Decoder::read_event(Value value, OtlpEvent& event) {
  return fields(value, [&](std::string_view key, Value field) {
    if (key == "timeUnixNano") return read_integer(field, event.time_ns);
    if (key == "name") return read_text(field, event.name);
    return key != "attributes" || read_attributes(field, event.attributes);
  });
}

bool Decoder::read_link(Value value, OtlpLink& link) {
  return fields(value, [&](std::string_view key, Value field) {
    if (key == "traceId") return read_id(field, 16, link.trace_id);
    if (key == "spanId") return read_id(field, 8, link.span_id);
    if (key == "traceState") return read_text(field, link.trace_state);
    return key != "attributes" || read_attributes(field, link.attributes);
  });
}

bool Decoder::read_log(Value value, OtlpLogRecord& record) {
  return fields(value, [&](std::string_view key, Value field) {
    if (key == "timeUnixNano") return read_integer(field, record.time_ns);
    if (key == "observedTimeUnixNano") return read_integer(field, record.observed_ns);
    if (key == "severityNumber") return read_integer(field, record.severity);
    if (key == "severityText") return read_text(field, record.severity_text);
    if (key == "body") return read_value(field, record.body, 0, false);
    if (key == "attributes") return read_attributes(field, record.attributes);
    if (key == "flags") return read_integer(field, record.flags);
    if (key == "traceId") return read_id(field, 16, record.trace_id);
    if (key == "spanId") return read_id(field, 8, record.span_id);
    if (key == "eventName") return read_text(field, record.event_name);
    return true;
  });
}

bool Decoder::read_metric(Value value, OtlpMetric& metric) {
  return fields(value, [&](std::string_view key, Value field) {
    if (key == "name") return read_text(field, metric.name);
    if (key == "description") return read_text(field, metric.description);
    if (key == "unit") return read_text(field, metric.unit);
    const bool other = key == "exponentialHistogram" || key == "summary";
    if (key == "gauge")
      metric.kind = OtlpMetric::Kind::gauge;
    else if (key == "sum")
      metric.kind = OtlpMetric::Kind::sum;
    else if (key == "histogram")
      metric.kind = OtlpMetric::Kind::histogram;
    else if (!other)
      return true;
    if (other) metric.kind = OtlpMetric::Kind::other;
    return read_data(field, metric);
  });
}

bool Decoder::read_data(Value value, OtlpMetric& metric) {
  return fields(value, [&](std::string_view key, Value field) {
    if (key == "aggregationTemporality") return read_integer(field, metric.temporality);
    if (key == "isMonotonic") return read_bool(field, metric.monotonic);
    if (key != "dataPoints") return true;
    return elements(field, [&](Value point) {
      if (!budget_.take()) {
        reject(kTooMany);
        return true;
      }
      if (metric.kind == OtlpMetric::Kind::other) {
        reject("exponential histograms and summaries are not kept");
        return true;
      }
      return read_point(point, metric.points.emplace_back());
    });
  });
}

bool Decoder::read_point(Value value, OtlpPoint& point) {
  return fields(value, [&](std::string_view key, Value field) {
    if (key == "startTimeUnixNano") return read_integer(field, point.start_ns);
    if (key == "timeUnixNano") return read_integer(field, point.time_ns);
    if (key == "attributes") return read_attributes(field, point.attributes);
    if (key == "flags") return read_integer(field, point.flags);
    if (key == "asDouble" || key == "asInt") return read_double(field, point.value);
    if (key == "count") return read_integer(field, point.count);
    if (key == "sum") return read_double(field, point.sum);
    if (key == "min") return read_double(field, point.min);
    if (key == "max") return read_double(field, point.max);
    if (key == "bucketCounts") {
      return elements(field, [&](Value one) {
        return !budget_.take() || read_integer(one, point.bucket_counts.emplace_back());
      });
    }
    if (key == "explicitBounds") {
      return elements(field, [&](Value one) {
        return !budget_.take() || read_double(one, point.bounds.emplace_back());
      });
    }
    return true;
  });
}

bool Decoder::read_attributes(Value value, Attributes& attributes) {
  return elements(value, [&](Value pair) {
    if (attributes.size() >= kOtlpAttributesMax || !budget_.take()) return true;
    auto& [key, text] = attributes.emplace_back();
    const bool good =
        fields(pair, [&, &key_text = key, &value_text = text](std::string_view name, Value field) {
          if (name == "key") return read_text(field, key_text);
          return name != "value" || read_value(field, value_text, 0, false);
        });
    if (text.size() > kOtlpTextBytesMax) text = otlp_text(text);
    return good;
  });
}

// `inside`: within an array or map, where texts get quotes. The text is JSON there.
bool Decoder::read_value(Value value, std::string& text, int depth, bool inside) {
  if (depth > kOtlpDepthMax) return false;
  const size_t start = text.size();
  const bool good = fields(value, [&](std::string_view key, Value field) {
    text.resize(start);
    if (key == "stringValue" || key == "bytesValue") {
      std::string own;
      if (!read_text(field, own)) return false;
      if (inside)
        append_json_text(text, own);
      else
        text += own;
    } else if (key == "boolValue") {
      bool own = false;
      if (!read_bool(field, own)) return false;
      text += own ? "true" : "false";
    } else if (key == "intValue") {
      int64_t own = 0;
      if (!read_integer(field, own)) return false;
      text += std::to_string(own);
    } else if (key == "doubleValue") {
      double own = 0;
      if (!read_double(field, own)) return false;
      text += otlp_number(own, inside);
    } else if (key == "arrayValue") {
      return read_values(field, text, depth + 1);
    } else if (key == "kvlistValue") {
      return read_pairs(field, text, depth + 1);
    }
    return true;
  });
  if (inside && text.size() == start) text += "null";
  return good;
}

bool Decoder::read_values(Value value, std::string& text, int depth) {
  text += '[';
  bool first = true;
  const bool good = fields(value, [&](std::string_view key, Value field) {
    if (key != "values") return true;
    return elements(field, [&](Value one) {
      if (!budget_.take()) return true;
      if (!std::exchange(first, false)) text += ',';
      return read_value(one, text, depth, true);
    });
  });
  text += ']';
  return good;
}

bool Decoder::read_pairs(Value value, std::string& text, int depth) {
  text += '{';
  bool first = true;
  const bool good = fields(value, [&](std::string_view key, Value field) {
    if (key != "values") return true;
    return elements(field, [&](Value pair) {
      if (!budget_.take()) return true;
      std::string name;
      std::string inner;
      const bool pair_good = fields(pair, [&](std::string_view part, Value part_value) {
        if (part == "key") return read_text(part_value, name);
        return part != "value" || read_value(part_value, inner, depth, true);
      });
      if (!std::exchange(first, false)) text += ',';
      append_json_text(text, name);
      text += ':';
      text += inner.empty() ? "null" : inner;
      return pair_good;
    });
  });
  text += '}';
  return good;
}

}  // namespace

Result<OtlpRequest> parse_otlp_json(OtlpSignal signal, std::string& text) {
  text.reserve(text.size() + simdjson::SIMDJSON_PADDING);
  ondemand::parser parser(kOtlpBytesMax + 1);
  ondemand::document document;
  ondemand::object object;
  OtlpRequest request;
  const simdjson::padded_string_view padded(text.data(), text.size(), text.capacity());
  Decoder decoder(signal, request);
  const bool good = parser.iterate(padded).get(document) == simdjson::SUCCESS &&
                    document.get_object().get(object) == simdjson::SUCCESS &&
                    decoder.read_request(object) &&
                    document.current_location().error() == simdjson::OUT_OF_BOUNDS;
  if (!good) return fail(Code::bad_request, "the body is not an OTLP export request in JSON");
  return request;
}

}  // namespace nimbus::telemetry
