// Prometheus metrics over prometheus-cpp's core. Names carry the `nimbus_` prefix, base units and
// `_total` on counters. Labels are bounded: results, states, org; never a job id.
//
//   Counter& stale = metrics.counter("nimbus_stale_fences_total", "Writes refused as stale.");
//   stale.add();
//
// Asking for the same name and labels again gives the same object. References live as long as the
// Metrics. Threads: any.
#pragma once

#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace prometheus {
class Counter;
class Gauge;
class Histogram;
class Registry;
}  // namespace prometheus

namespace nimbus {

class Counter {
 public:
  explicit Counter(prometheus::Counter& counter) : counter_(counter) {}
  void add(double by = 1);

 private:
  prometheus::Counter& counter_;
};

class Gauge {
 public:
  explicit Gauge(prometheus::Gauge& gauge) : gauge_(gauge) {}
  void set(double value);
  void add(double by);

 private:
  prometheus::Gauge& gauge_;
};

class Histogram {
 public:
  explicit Histogram(prometheus::Histogram& histogram) : histogram_(histogram) {}
  void observe(double value);

 private:
  prometheus::Histogram& histogram_;
};

// Buckets for latencies in seconds, 0.5 ms to 60 s.
extern const std::vector<double> kLatencyBuckets;

class Metrics {
 public:
  using Labels = std::map<std::string, std::string>;

  Metrics();
  ~Metrics();

  Counter& counter(const std::string& name, const std::string& help, const Labels& labels = {});
  Gauge& gauge(const std::string& name, const std::string& help, const Labels& labels = {});
  Histogram& histogram(const std::string& name, const std::string& help, const Labels& labels = {},
                       const std::vector<double>& buckets = kLatencyBuckets);

  // Runs before each exposition, to set gauges that are cheaper to count on demand.
  void before_expose(std::function<void()> refresh);
  // The text format 0.0.4 of everything.
  std::string expose();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nimbus
