// When entries were last read. Noted in memory and written in batches, so that a read costs no
// write; a crash forgets at most what one batch holds, which makes entries look a little older.
//
// Threads: the loop's.
#pragma once

#include <unordered_map>

#include "base/task.h"
#include "cache/entry_store.h"
#include "db/database.h"

namespace nimbus::cache {

class UseLog {
 public:
  explicit UseLog(db::Database& database) : database_(database) {}
  void note(int64_t entry, Time at) { waiting_[entry] = at; }
  // Writes what waits. On an error it is forgotten: age is a hint.
  Task<Result<void>> flush();

 private:
  db::Database& database_;
  std::unordered_map<int64_t, Time> waiting_;
};

}  // namespace nimbus::cache
