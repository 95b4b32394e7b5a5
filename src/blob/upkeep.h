// What a store needs done while it runs: garbage collected, unfinished uploads expired, quotas and
// disk kept below their marks, unknown bytes swept, rotten blobs found.
//
// Threads: the loop's.
#pragma once

#include "base/metrics.h"
#include "blob/collector.h"
#include "blob/quota.h"
#include "blob/scrubber.h"

namespace nimbus::blob {

struct UpkeepOptions {
  Duration garbage_grace = std::chrono::hours(1);
  Duration upload_idle = std::chrono::hours(24);
  int64_t scrub_bytes_per_second = int64_t{16} << 20;  // 0: never
};

class Upkeep {
 public:
  Upkeep(net::Loop& loop, db::Database& database, Store& store, QuotaBook& quotas,
         const Clock& clock, Metrics& metrics, UpkeepOptions options);

  // Who drops entries of lost blobs; before `start`.
  LossBook& losses() { return losses_; }
  Scrubber& scrubber() { return scrubber_; }
  Collector& collector() { return collector_; }
  // Runs until `stop`; what was begun ends first.
  void start();
  void stop();

  // One round of the regular work, for tests and the command line.
  Task<void> tidy();
  Task<void> sweep();

 private:
  struct Life;
  static Task<void> tidy_regularly(std::shared_ptr<Life> life);
  static Task<void> scrub_regularly(std::shared_ptr<Life> life);

  net::Loop& loop_;
  Store& store_;
  QuotaBook& quotas_;
  const Clock& clock_;
  UpkeepOptions options_;
  LossBook losses_;
  Collector collector_;
  Scrubber scrubber_;
  Counter& collected_bytes_;
  Counter& evicted_bytes_;
  Counter& scrubbed_;
  Counter& lost_;
  std::shared_ptr<Life> life_;
};

}  // namespace nimbus::blob
