// The SQLite engine behind db::Database: WAL, synchronous=FULL unless told otherwise, one writer
// thread with group commit, a few reader threads. Included by database.cc only.
#pragma once

#include "db/database.h"

namespace nimbus::db {

constexpr size_t kQueuedWritesMax = 100'000;
constexpr size_t kGroupWritesMax = 1'024;

Result<std::unique_ptr<Database>> open_sqlite(const std::string& path,
                                              const DatabaseOptions& options);

}  // namespace nimbus::db
