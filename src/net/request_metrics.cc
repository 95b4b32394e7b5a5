#include "net/request_metrics.h"

#include <algorithm>
#include <array>

namespace nimbus::net {
namespace {

// Methods are the client's words: only the known ones become labels.
constexpr std::array<std::string_view, 8> kMethods = {"GET",   "HEAD",   "POST",    "PUT",
                                                      "PATCH", "DELETE", "OPTIONS", "other"};

size_t method_index(std::string_view method) {
  const auto* found = std::find(kMethods.begin(), kMethods.end() - 1, method);
  return static_cast<size_t>(found - kMethods.begin());
}

}  // namespace

void RequestMetrics::count(std::string_view pattern, std::string_view method, int status,
                           Duration took) {
  if (metrics_ == nullptr) return;
  const size_t index = method_index(method);
  // User-space addresses have 47 bits; 3 for the method and 10 for the status are left over.
  const uint64_t key = (reinterpret_cast<uint64_t>(pattern.data()) << 13) ^
                       (static_cast<uint64_t>(index) << 10) ^ static_cast<uint64_t>(status);
  Counter*& counter = counters_[key];
  if (counter == nullptr) {
    counter = &metrics_->counter("nimbus_http_requests_total", "HTTP requests answered.",
                                 {{"pattern", std::string(pattern)},
                                  {"method", std::string(kMethods[index])},
                                  {"status", std::to_string(status)}});
  }
  counter->add();
  Histogram*& histogram = histograms_[pattern.data()];
  if (histogram == nullptr) {
    histogram = &metrics_->histogram("nimbus_http_request_seconds",
                                     "Time from a request's head to its answer's head.",
                                     {{"pattern", std::string(pattern)}});
  }
  histogram->observe(std::chrono::duration<double>(took).count());
}

}  // namespace nimbus::net
