// The ClickHouse schema: numbered migrations of the set "telemetry", recorded in table
// `migrations`. ClickHouse has no transactions over DDL, so every statement may run twice (IF NOT
// EXISTS), and a migration is recorded after its last statement.
//
// docs/CLICKHOUSE_SCHEMA.md is `schema_document()`; a test compares them.
//
// Threads: the loop's.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "telemetry/clickhouse_client.h"

namespace nimbus::telemetry {

struct SchemaMigration {
  int number;
  std::string_view name;
  std::string_view about;  // a paragraph for the document
  std::vector<std::string_view> statements;
};

struct AppliedMigration {
  int number = 0;
  std::string name;
  std::optional<Time> applied_at;
};

std::span<const SchemaMigration> schema_migrations();

// Creates the database and applies what is missing; how many migrations that were. conflict: the
// database is newer than this program, or a recorded migration has another name.
Task<Result<int>> migrate_schema(ClickhouseClient& client, std::string database,
                                 const Clock& clock);
Task<Result<std::vector<AppliedMigration>>> schema_status(ClickhouseClient& client);

// Sets how long rows are kept, counted from their arrival, where it differs from what is there.
Task<Result<void>> set_retention(ClickhouseClient& client, int days);

std::string schema_document();

}  // namespace nimbus::telemetry
