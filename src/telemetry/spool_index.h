// Where in the spool a job's lines are, so that its log can be read while ClickHouse is away.
//
// Threads: the loop's.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "model/ids.h"
#include "telemetry/spool.h"

namespace nimbus::telemetry {

class SpoolIndex {
 public:
  void add(SpoolPlace place, const LineRange& lines);
  // Every job_logs block of an earlier process, from its rows.
  void add_block(SpoolPlace place, const Block& block);
  void forget_segment(uint64_t segment);

  struct Entry {
    SpoolPlace place;
    int64_t first = 0;
    int64_t last = 0;
  };
  // Blocks with lines after `after`, lowest first.
  std::vector<Entry> find(model::JobId job, model::Fence fence, int64_t after) const;
  // The job's executions that have blocks here, and how many each.
  std::map<model::Fence, size_t> of_job(model::JobId job) const;
  bool empty() const { return entries_.empty(); }

 private:
  std::map<std::pair<model::JobId, model::Fence>, std::vector<Entry>> entries_;
};

}  // namespace nimbus::telemetry
