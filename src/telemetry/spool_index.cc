#include "telemetry/spool_index.h"

#include <algorithm>

#include "telemetry/log_rows.h"

namespace nimbus::telemetry {

void SpoolIndex::add(SpoolPlace place, const LineRange& lines) {
  entries_[{lines.job, lines.fence}].push_back({place, lines.first, lines.last});
}

void SpoolIndex::add_block(SpoolPlace place, const Block& block) {
  std::map<std::pair<model::JobId, model::Fence>, LineRange> ranges;
  read_log_rows(block.data, [&ranges](const LogRow& row) {
    LineRange& range =
        ranges.try_emplace({row.job, row.fence}, LineRange{row.job, row.fence, row.seq, row.seq})
            .first->second;
    range.first = std::min(range.first, row.seq);
    range.last = std::max(range.last, row.seq);
  });
  for (const auto& [key, range] : ranges) add(place, range);
}

void SpoolIndex::forget_segment(uint64_t segment) {
  for (auto it = entries_.begin(); it != entries_.end();) {
    std::erase_if(it->second, [segment](const Entry& e) { return e.place.segment == segment; });
    it = it->second.empty() ? entries_.erase(it) : std::next(it);
  }
}

std::vector<SpoolIndex::Entry> SpoolIndex::find(model::JobId job, model::Fence fence,
                                                int64_t after) const {
  std::vector<Entry> found;
  const auto entries = entries_.find({job, fence});
  if (entries == entries_.end()) return found;
  for (const Entry& entry : entries->second) {
    if (entry.last > after) found.push_back(entry);
  }
  std::sort(found.begin(), found.end(),
            [](const Entry& a, const Entry& b) { return a.first < b.first; });
  return found;
}

std::map<model::Fence, size_t> SpoolIndex::of_job(model::JobId job) const {
  std::map<model::Fence, size_t> found;
  for (auto it = entries_.lower_bound({job, model::Fence{INT64_MIN}});
       it != entries_.end() && it->first.first == job; ++it) {
    found[it->first.second] = it->second.size();
  }
  return found;
}

}  // namespace nimbus::telemetry
