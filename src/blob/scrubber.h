// Reads every blob again and again, slowly, and takes out those whose bytes are no longer what
// their name says.
//
// Threads: the loop's.
#pragma once

#include "base/metrics.h"
#include "blob/collector.h"

namespace nimbus::blob {

struct Scrubbed {
  int64_t blobs = 0;
  int64_t lost = 0;  // rotten or missing, taken out
};

class Scrubber {
 public:
  Scrubber(db::Database& database, Store& store, Collector& collector, const LossBook& losses)
      : database_(database), store_(store), collector_(collector), losses_(losses) {}

  // The next `count` blobs in order of digest, from the start again after the last; none: the round
  // is over.
  Task<Result<Scrubbed>> scrub(int count, int64_t bytes_per_second);
  // Verifies one blob now, and takes it out when it is not good: for whoever met a strange one.
  Task<Result<Health>> check(BlobInfo blob, int64_t bytes_per_second);

 private:
  db::Database& database_;
  Store& store_;
  Collector& collector_;
  const LossBook& losses_;
  std::optional<Digest> after_;
};

}  // namespace nimbus::blob
