// OTLP requests from guests, in both encodings and all signals. The first byte chooses; whatever is
// accepted must become rows within the bounds, and nothing may be made twice of one item.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "telemetry/gunzip.h"
#include "telemetry/otlp_rows.h"

using namespace nimbus;
using namespace nimbus::telemetry;

namespace {

uint64_t items_of(const OtlpRequest& request) {
  uint64_t items = 0;
  for (const auto& group : request.groups) {
    for (const auto& scope : group.scopes) {
      items += scope.spans.size() + scope.logs.size();
      for (const auto& metric : scope.metrics) items += metric.points.size();
    }
  }
  return items;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const uint8_t choice = data[0];
  std::string body(reinterpret_cast<const char*>(data) + 1, size - 1);
  const OtlpSignal signal = choice % 3 == 0   ? OtlpSignal::traces
                            : choice % 3 == 1 ? OtlpSignal::logs
                                              : OtlpSignal::metrics;
  if (choice & 0x80) {
    auto inflated = gunzip(body, size_t{1} << 20);
    if (!inflated) return 0;
    body = std::move(*inflated);
  }
  auto request = choice & 0x40 ? parse_otlp_json(signal, body) : parse_otlp_protobuf(signal, body);
  if (!request) return 0;
  const uint64_t items = items_of(*request);
  const uint64_t refused = request->rejected;
  const auto batches = otlp_rows(*request, {"acme", "app", {12}, {1}}, 1);
  uint64_t rows = 0;
  size_t bytes = 0;
  for (const RowBatch& batch : batches) {
    if (batch.table != Table::eval_cases) rows += batch.rows;
    bytes += batch.data.size();
  }
  if (rows + (request->rejected - refused) != items) std::abort();
  if (bytes > kOtlpRowBytesMax + (size_t{8} << 20)) std::abort();
  return 0;
}
