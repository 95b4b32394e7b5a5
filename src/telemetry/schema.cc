#include "telemetry/schema.h"

#include <map>

#include "telemetry/row_binary.h"
#include "telemetry/tables.h"

namespace nimbus::telemetry {
namespace {

constexpr std::string_view kMigrationsTable =
    "CREATE TABLE IF NOT EXISTS migrations (number Int32, name String, applied_at DateTime64(6))\n"
    "ENGINE = ReplacingMergeTree ORDER BY number\n"
    "SETTINGS fsync_after_insert = 1, fsync_part_directory = 1";

Task<Result<void>> apply(ClickhouseClient& client, const SchemaMigration& migration,
                         const Clock& clock) {
  for (const std::string_view statement : migration.statements) {
    std::string sql(statement);
    CO_TRY(co_await client.run(std::move(sql)));
  }
  RowWriter row;
  row.u32(static_cast<uint32_t>(migration.number));
  row.text(migration.name);
  row.i64(to_us(clock.now()));
  std::string head = "INSERT INTO migrations (number, name, applied_at)";
  std::string token = "migration-" + std::to_string(migration.number);
  const InsertOutcome outcome = co_await client.insert(std::move(head), std::move(token),
                                                       row.take(), std::chrono::seconds(30));
  if (outcome.kind == InsertOutcome::Kind::stored) co_return Result<void>{};
  co_return fail(Code::unavailable, "recording a migration: " + outcome.message);
}

Result<void> check_known(const std::vector<AppliedMigration>& applied) {
  const auto known = schema_migrations();
  for (const AppliedMigration& one : applied) {
    if (one.number < 1 || static_cast<size_t>(one.number) > known.size()) {
      return fail(Code::conflict,
                  "ClickHouse's schema has migration " + std::to_string(one.number) +
                      ", which this program does not know",
                  "run a newer nimbus, or give it another database");
    }
    const SchemaMigration& migration = known[static_cast<size_t>(one.number) - 1];
    if (migration.name != one.name) {
      return fail(Code::conflict, "ClickHouse's migration " + std::to_string(one.number) +
                                      " is \"" + one.name + "\", not \"" +
                                      std::string(migration.name) + "\"");
    }
  }
  return {};
}

}  // namespace

Task<Result<std::vector<AppliedMigration>>> schema_status(ClickhouseClient& client) {
  ClickhouseQuery query;
  query.sql = "SELECT number, name, applied_at FROM migrations FINAL ORDER BY number";
  CO_TRY_ASSIGN(const std::string rows, co_await client.select(std::move(query)));
  std::vector<AppliedMigration> applied;
  for (RowReader reader(rows); !reader.at_end();) {
    AppliedMigration one;
    one.number = static_cast<int>(reader.u32());
    one.name = reader.text();
    one.applied_at = from_us(reader.i64());
    if (!reader.ok()) co_return fail(Code::corrupt, "reading ClickHouse's migrations: cut off");
    applied.push_back(std::move(one));
  }
  co_return applied;
}

Task<Result<int>> migrate_schema(ClickhouseClient& client, std::string database,
                                 const Clock& clock) {
  // A server refuses every statement that names a database it lacks, so this one goes without.
  std::string create = "CREATE DATABASE IF NOT EXISTS " + std::move(database);
  CO_TRY(co_await client.run_outside(std::move(create)));
  std::string table(kMigrationsTable);
  CO_TRY(co_await client.run(std::move(table)));
  CO_TRY_ASSIGN(const auto applied, co_await schema_status(client));
  const auto known = check_known(applied);
  if (!known) co_return fail(known.error());
  int count = 0;
  for (const SchemaMigration& migration : schema_migrations()) {
    bool there = false;
    for (const AppliedMigration& one : applied) there = there || one.number == migration.number;
    if (there) continue;
    CO_TRY(co_await apply(client, migration, clock));
    ++count;
  }
  co_return count;
}

Task<Result<void>> set_retention(ClickhouseClient& client, int days) {
  ClickhouseQuery query;
  query.sql = "SELECT name, engine_full FROM system.tables WHERE database = currentDatabase()";
  CO_TRY_ASSIGN(const std::string rows, co_await client.select(std::move(query)));
  std::map<std::string, std::string, std::less<>> engines;
  for (RowReader reader(rows); !reader.at_end();) {
    std::string name(reader.text());
    engines[std::move(name)] = reader.text();
  }
  for (uint8_t number = 1; number <= kTables; ++number) {
    const std::string_view name = to_string(*find_table(number));
    const auto found = engines.find(name);
    // ClickHouse shows the interval as it was parsed.
    const std::string wanted = "toIntervalDay(" + std::to_string(days) + ")";
    if (found == engines.end() || found->second.find(wanted) != std::string::npos) continue;
    const bool exporters = name.starts_with("otel_");
    std::string sql = "ALTER TABLE " + std::string(name) + " MODIFY TTL toDateTime(" +
                      (exporters ? "IngestedAt" : "ingested_at") + ") + INTERVAL " +
                      std::to_string(days) + " DAY SETTINGS materialize_ttl_after_modify = 0";
    CO_TRY(co_await client.run(std::move(sql)));
  }
  co_return Result<void>{};
}

std::string schema_document() {
  std::string text =
      "# ClickHouse schema\n\n"
      "For those who query Nimbus's telemetry themselves, in Grafana or by SQL. Generated from "
      "the\n"
      "migrations in `src/telemetry/migrations.cc`; a test keeps it so (`NIMBUS_UPDATE_DOCS=1` in "
      "the\n"
      "environment of `telemetry_test` rewrites it).\n\n"
      "The tables live in database `nimbus`, of the embedded engine or of the server that\n"
      "`telemetry.clickhouse` names. Every table has its owner first in the sorting key: filter "
      "by\n"
      "`lower(org) = 'acme'` (`lower(Org)` in the `otel_` tables) and a query reads that org "
      "alone.\n"
      "ReplacingMergeTree tables may hold a row twice until a merge after a crash: read them with\n"
      "`FINAL`, or `LIMIT 1 BY` their key, where an exact count matters. Rows are kept for\n"
      "`telemetry.log_retention_days` (30) after they arrived.\n";
  for (const SchemaMigration& migration : schema_migrations()) {
    text += "\n## " + std::to_string(migration.number) + " " + std::string(migration.name) +
            "\n\n" + std::string(migration.about) + "\n";
    for (const std::string_view statement : migration.statements) {
      text += "\n```sql\n" + std::string(statement) + "\n```\n";
    }
  }
  return text;
}

}  // namespace nimbus::telemetry
