#include "base/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <mutex>

namespace nimbus {

const std::vector<double> kLatencyBuckets = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                             0.25,   0.5,   1,      2.5,   5,    10,    30,   60};

void Counter::add(double by) { counter_.Increment(by); }
void Gauge::set(double value) { gauge_.Set(value); }
void Gauge::add(double by) { gauge_.Increment(by); }
void Histogram::observe(double value) { histogram_.Observe(value); }

struct Metrics::State {
  prometheus::Registry registry{prometheus::Registry::InsertBehavior::Merge};
  std::mutex mutex;  // guards everything below
  std::map<prometheus::Counter*, std::unique_ptr<Counter>> counters;
  std::map<prometheus::Gauge*, std::unique_ptr<Gauge>> gauges;
  std::map<prometheus::Histogram*, std::unique_ptr<Histogram>> histograms;
  std::vector<std::function<void()>> refreshers;
};

namespace {

template <typename Wrapper, typename Raw>
Wrapper& wrap(std::map<Raw*, std::unique_ptr<Wrapper>>& known, Raw& raw) {
  auto& slot = known[&raw];
  if (slot == nullptr) slot = std::make_unique<Wrapper>(raw);
  return *slot;
}

}  // namespace

Metrics::Metrics() : state_(std::make_unique<State>()) {}
Metrics::~Metrics() = default;

Counter& Metrics::counter(const std::string& name, const std::string& help, const Labels& labels) {
  auto& family = prometheus::BuildCounter().Name(name).Help(help).Register(state_->registry);
  const std::scoped_lock lock(state_->mutex);
  return wrap(state_->counters, family.Add(labels));
}

Gauge& Metrics::gauge(const std::string& name, const std::string& help, const Labels& labels) {
  auto& family = prometheus::BuildGauge().Name(name).Help(help).Register(state_->registry);
  const std::scoped_lock lock(state_->mutex);
  return wrap(state_->gauges, family.Add(labels));
}

Histogram& Metrics::histogram(const std::string& name, const std::string& help,
                              const Labels& labels, const std::vector<double>& buckets) {
  auto& family = prometheus::BuildHistogram().Name(name).Help(help).Register(state_->registry);
  const std::scoped_lock lock(state_->mutex);
  return wrap(state_->histograms, family.Add(labels, buckets));
}

void Metrics::before_expose(std::function<void()> refresh) {
  const std::scoped_lock lock(state_->mutex);
  state_->refreshers.push_back(std::move(refresh));
}

std::string Metrics::expose() {
  std::vector<std::function<void()>> refreshers;
  {
    const std::scoped_lock lock(state_->mutex);
    refreshers = state_->refreshers;
  }
  for (const auto& refresh : refreshers) refresh();
  return prometheus::TextSerializer().Serialize(state_->registry.Collect());
}

}  // namespace nimbus
