#include "telemetry/seq_set.h"

#include <algorithm>

namespace nimbus::telemetry {

bool SeqSet::add(int64_t first, int64_t last) {
  // The usual case: the next lines.
  if (!ranges_.empty() && first == ranges_.back().second + 1) {
    ranges_.back().second = last;
    return true;
  }
  // The ranges that touch [first - 1, last + 1] become one with it.
  const auto begin =
      std::lower_bound(ranges_.begin(), ranges_.end(), first,
                       [](const Range& range, int64_t value) { return range.second + 1 < value; });
  auto end = begin;
  Range joined{first, last};
  for (; end != ranges_.end() && end->first <= last + 1; ++end) {
    joined.first = std::min(joined.first, end->first);
    joined.second = std::max(joined.second, end->second);
  }
  if (begin == end) {
    if (ranges_.size() >= kRangesMax) return false;
    ranges_.insert(begin, joined);
    return true;
  }
  *begin = joined;
  ranges_.erase(begin + 1, end);
  return true;
}

void SeqSet::remove(int64_t first, int64_t last) {
  std::vector<Range> left;
  left.reserve(ranges_.size() + 1);
  for (const Range& range : ranges_) {
    if (range.second < first || range.first > last) {
      left.push_back(range);
      continue;
    }
    if (range.first < first) left.push_back({range.first, first - 1});
    if (range.second > last) left.push_back({last + 1, range.second});
  }
  ranges_ = std::move(left);
}

bool SeqSet::contains(int64_t seq) const { return contains_all(seq, seq); }

bool SeqSet::contains_all(int64_t first, int64_t last) const {
  const auto found =
      std::lower_bound(ranges_.begin(), ranges_.end(), first,
                       [](const Range& range, int64_t value) { return range.second < value; });
  return found != ranges_.end() && found->first <= first && found->second >= last;
}

int64_t SeqSet::count() const {
  int64_t count = 0;
  for (const Range& range : ranges_) count += range.second - range.first + 1;
  return count;
}

std::vector<SeqSet::Range> SeqSet::gaps(int64_t last) const {
  std::vector<Range> gaps;
  int64_t next = 1;
  for (const Range& range : ranges_) {
    if (range.first > last) break;
    if (range.first > next) gaps.push_back({next, range.first - 1});
    next = range.second + 1;
  }
  if (next <= last) gaps.push_back({next, last});
  return gaps;
}

}  // namespace nimbus::telemetry
