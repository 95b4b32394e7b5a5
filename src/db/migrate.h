// Numbered migrations: each runs once, in order, in one transaction with the row that records it.
// A database that is newer than the program, or whose recorded migration has another name, is
// refused. Each role owns a set; the set's name keeps them apart in one database.
//
// Threads: start-up only (blocking).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "db/database.h"

namespace nimbus::db {

struct Migration {
  int number;             // from 1, without gaps
  std::string_view name;  // what it brings, for `nimbus migrate status`
  std::string_view sql;   // statements separated by `;` at line ends
};

struct MigrationSet {
  std::string_view name;  // "control"
  std::span<const Migration> migrations;
};

struct MigrationStatus {
  std::string set;
  int number;
  std::string name;
  std::optional<Time> applied_at;
};

Result<std::vector<MigrationStatus>> migration_status(Database& database, const MigrationSet& set);
// Applies what is missing; how many that were. conflict: the database is not of this program.
Result<int> migrate(Database& database, const MigrationSet& set, Time now);

}  // namespace nimbus::db
