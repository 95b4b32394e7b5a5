// Counts requests by pattern, method and status, and measures them by pattern. Private to this
// folder. Threads: the loop's.
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>

#include "base/metrics.h"
#include "base/time.h"

namespace nimbus::net {

class RequestMetrics {
 public:
  explicit RequestMetrics(Metrics* metrics) : metrics_(metrics) {}
  bool enabled() const { return metrics_ != nullptr; }
  // `pattern` must outlive this object: a route's own text, or a literal.
  void count(std::string_view pattern, std::string_view method, int status, Duration took);

 private:
  Metrics* metrics_;
  std::unordered_map<uint64_t, Counter*> counters_;
  std::unordered_map<const char*, Histogram*> histograms_;
};

}  // namespace nimbus::net
