#include "db/migrate.h"

#include "base/text.h"

namespace nimbus::db {
namespace {

constexpr std::string_view kLedger =
    "CREATE TABLE IF NOT EXISTS migrations (set_name TEXT NOT NULL, number BIGINT NOT NULL, "
    "name TEXT NOT NULL, applied_us BIGINT NOT NULL, PRIMARY KEY (set_name, number))";

Result<void> run_script(Transaction& tx, std::string_view sql) {
  size_t start = 0;
  while (start < sql.size()) {
    const size_t end = std::min(sql.find(";\n", start), sql.size());
    const std::string_view statement = trim(sql.substr(start, end - start));
    if (!statement.empty() && statement != ";") TRY(tx.run(statement));
    start = end + 1;
  }
  return {};
}

Result<Rows> applied(Transaction& tx, const MigrationSet& set) {
  return tx.query(
      "SELECT number, name, applied_us FROM migrations WHERE set_name = $1 ORDER BY number",
      set.name);
}

Result<void> check_known(const Rows& rows, const MigrationSet& set) {
  if (rows.size() > set.migrations.size()) {
    return fail(Code::conflict,
                "the database has " + std::to_string(rows.size()) + " migrations of '" +
                    std::string(set.name) + "', this program knows " +
                    std::to_string(set.migrations.size()),
                "run the newer nimbus that wrote it");
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].text(1) == set.migrations[i].name) continue;
    return fail(Code::conflict, "migration " + std::to_string(i + 1) + " of '" +
                                    std::string(set.name) + "' is recorded as '" + rows[i].text(1) +
                                    "', not '" + std::string(set.migrations[i].name) + "'");
  }
  return {};
}

}  // namespace

Result<std::vector<MigrationStatus>> migration_status(Database& database, const MigrationSet& set) {
  std::vector<MigrationStatus> status;
  TRY(database.write_now([&](Transaction& tx) -> Result<void> {
    TRY(tx.run(kLedger));
    const Rows rows = TRY(applied(tx, set));
    for (size_t i = 0; i < set.migrations.size(); ++i) {
      MigrationStatus line{std::string(set.name), set.migrations[i].number,
                           std::string(set.migrations[i].name), std::nullopt};
      if (i < rows.size()) line.applied_at = rows[i].time(2);
      status.push_back(std::move(line));
    }
    return {};
  }));
  return status;
}

Result<int> migrate(Database& database, const MigrationSet& set, Time now) {
  int count = 0;
  TRY(database.write_now([&](Transaction& tx) -> Result<void> {
    TRY(tx.run(kLedger));
    const Rows rows = TRY(applied(tx, set));
    TRY(check_known(rows, set));
    for (size_t i = rows.size(); i < set.migrations.size(); ++i) {
      const Migration& next = set.migrations[i];
      TRY_IN("migration " + std::to_string(next.number) + " (" + std::string(next.name) + ")",
             run_script(tx, next.sql));
      TRY(tx.run(
          "INSERT INTO migrations (set_name, number, name, applied_us) VALUES ($1, $2, $3, $4)",
          set.name, next.number, next.name, now));
      ++count;
    }
    return {};
  }));
  return count;
}

}  // namespace nimbus::db
