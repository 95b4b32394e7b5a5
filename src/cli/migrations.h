// Every migration set of the relational store, in the order they run.
#pragma once

#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "db/database.h"
#include "db/migrate.h"

namespace nimbus::cli {

std::vector<const db::MigrationSet*> relational_migrations();
// Applies what is missing in all of them; how many that were. Blocking.
Result<int> migrate_all(db::Database& database, Time now);

}  // namespace nimbus::cli
