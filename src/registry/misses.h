// What an upstream was asked for and had not got: it is not asked again for a moment. Private to
// this folder. Threads: the loop's.
#pragma once

#include <map>
#include <string>

#include "base/clock.h"

namespace nimbus::registry {

constexpr Duration kMissTrust = std::chrono::seconds(30);
constexpr size_t kMissesMax = 4'096;

class Misses {
 public:
  explicit Misses(const Clock& clock) : clock_(clock) {}
  bool is_missing(const std::string& key) const {
    const auto missed = until_.find(key);
    return missed != until_.end() && clock_.steady() < missed->second;
  }
  void note(const std::string& key) {
    if (until_.size() >= kMissesMax) until_.clear();
    until_[key] = clock_.steady() + kMissTrust;
  }
  void forget(const std::string& key) { until_.erase(key); }

 private:
  const Clock& clock_;
  std::map<std::string, Duration> until_;  // steady
};

}  // namespace nimbus::registry
