// A set of line numbers kept as ranges: one range for a log without gaps, however long. Bounded.
// Threads: values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace nimbus::telemetry {

class SeqSet {
 public:
  using Range = std::pair<int64_t, int64_t>;  // both ends belong to it
  static constexpr size_t kRangesMax = 10'000;

  // False, and nothing is added, when that would make too many ranges.
  bool add(int64_t first, int64_t last);
  void remove(int64_t first, int64_t last);
  bool contains(int64_t seq) const;
  bool contains_all(int64_t first, int64_t last) const;
  const std::vector<Range>& ranges() const { return ranges_; }
  int64_t count() const;
  int64_t highest() const { return ranges_.empty() ? 0 : ranges_.back().second; }
  // What lacks between 1 and `last`.
  std::vector<Range> gaps(int64_t last) const;

 private:
  std::vector<Range> ranges_;  // ascending, never touching
};

}  // namespace nimbus::telemetry
