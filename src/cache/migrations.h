// The cache's tables. Threads: start-up only.
#pragma once

#include "db/migrate.h"

namespace nimbus::cache {

// Set "cache"; needs set "blob".
const db::MigrationSet& cache_migrations();

}  // namespace nimbus::cache
