// Compares the database with the store, and the sums with what they sum up: `nimbus cache fsck`.
// Safe beside a running server: what is on its way in or out is not a finding.
//
// Threads: the loop's; blocking work runs elsewhere.
#pragma once

#include <string>
#include <vector>

#include "blob/collector.h"

namespace nimbus::blob {

struct Finding {
  std::string kind;  // usage, state, unknown-hold, missing, wrong-size, rotten, orphan, entry
  std::string subject;
  std::string detail;
  bool repaired = false;
};

// Looks at a role's own tables in the same way; what it repairs it marks.
using CheckEntries = std::function<Result<std::vector<Finding>>(db::Transaction& tx, bool repair)>;

struct FsckOptions {
  bool repair = false;
  bool read_bytes = true;                  // hash every blob; otherwise existence and size only
  Duration grace = std::chrono::hours(1);  // younger bytes without a row may be on their way in
  std::vector<CheckEntries> checks;
};

struct FsckReport {
  int64_t blobs = 0;
  int64_t bytes = 0;
  std::vector<Finding> findings;
  bool clean() const { return findings.empty(); }
};

Task<Result<FsckReport>> fsck(db::Database& database, Store& store, Collector& collector,
                              const LossBook& losses, const FsckOptions& options);

}  // namespace nimbus::blob
