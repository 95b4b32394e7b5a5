// What OTLP/HTTP requests carry, decoded from protobuf (otlp_protobuf.cc) or JSON (otlp_json.cc)
// into one shape: attribute values as text, ids in hexadecimal. Senders are guests, so a request
// has a budget of things it may hold; what is past it is counted as rejected.
//
// Threads: values, pure functions.
// Not here: HTTP (otlp_routes.h), rows (otlp_rows.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "evals/normalise.h"

namespace nimbus::telemetry {

constexpr size_t kOtlpBytesMax = size_t{20} << 20;  // after decompression
constexpr size_t kOtlpThingsMax = 300'000;  // items, attributes, events, links, points of a request
constexpr size_t kOtlpAttributesMax = 128;  // of one thing; more are left out
constexpr size_t kOtlpTextBytesMax = size_t{64} * 1024;
constexpr int kOtlpDepthMax = 16;  // of values in values

enum class OtlpSignal { traces, logs, metrics };
std::string_view to_string(OtlpSignal signal);

using evals::Attributes;

struct OtlpResource {
  Attributes attributes;
  std::string schema_url;
};

struct OtlpScope {
  std::string name;
  std::string version;
  Attributes attributes;
  uint32_t dropped_attributes = 0;
  std::string schema_url;
};

struct OtlpEvent {
  uint64_t time_ns = 0;
  std::string name;
  Attributes attributes;
};

struct OtlpLink {
  std::string trace_id;
  std::string span_id;
  std::string trace_state;
  Attributes attributes;
};

struct OtlpSpan {
  std::string trace_id;
  std::string span_id;
  std::string parent_span_id;
  std::string trace_state;
  std::string name;
  int kind = 0;
  uint64_t start_ns = 0;
  uint64_t end_ns = 0;
  Attributes attributes;
  std::vector<OtlpEvent> events;
  std::vector<OtlpLink> links;
  int status = 0;
  std::string status_message;
};

struct OtlpLogRecord {
  uint64_t time_ns = 0;
  uint64_t observed_ns = 0;
  int severity = 0;
  std::string severity_text;
  std::string body;
  Attributes attributes;
  uint32_t flags = 0;
  std::string trace_id;
  std::string span_id;
  std::string event_name;
};

struct OtlpPoint {
  Attributes attributes;
  uint64_t start_ns = 0;
  uint64_t time_ns = 0;
  uint32_t flags = 0;
  double value = 0;    // gauges and sums
  uint64_t count = 0;  // histograms, from here
  double sum = 0;
  double min = 0;
  double max = 0;
  std::vector<uint64_t> bucket_counts;
  std::vector<double> bounds;
};

struct OtlpMetric {
  // other: exponential histograms and summaries, whose points are counted and not kept.
  enum class Kind { gauge, sum, histogram, other };
  Kind kind = Kind::other;
  std::string name;
  std::string description;
  std::string unit;
  int temporality = 0;
  bool monotonic = false;
  std::vector<OtlpPoint> points;
};

struct OtlpScopeGroup {
  OtlpScope scope;
  std::vector<OtlpSpan> spans;
  std::vector<OtlpLogRecord> logs;
  std::vector<OtlpMetric> metrics;
};

struct OtlpResourceGroup {
  OtlpResource resource;
  std::vector<OtlpScopeGroup> scopes;
};

struct OtlpRequest {
  std::vector<OtlpResourceGroup> groups;
  uint64_t rejected = 0;  // spans, log records or data points
  std::string reason;     // why, the first one
};

// bad_request: not well-formed.
Result<OtlpRequest> parse_otlp_protobuf(OtlpSignal signal, std::string_view bytes);
// The text's capacity may grow.
Result<OtlpRequest> parse_otlp_json(OtlpSignal signal, std::string& text);

// Counts things while a request is decoded.
class OtlpBudget {
 public:
  bool take(size_t things = 1) {
    if (left_ < things) return false;
    left_ -= things;
    return true;
  }

 private:
  size_t left_ = kOtlpThingsMax;
};

// The text in well-formed UTF-8, cut to kOtlpTextBytesMax.
std::string otlp_text(std::string_view text);
// A number as attributes show it: "4.5", "4", "NaN"; in JSON the last with quotes.
std::string otlp_number(double number, bool in_json = false);
// Whether it is an id: `bytes` bytes long and not all zero.
bool valid_id(std::string_view raw, size_t bytes);

}  // namespace nimbus::telemetry
