// The relational database of the data directory or configuration that a command names, for commands
// that work on it without a server.
//
// Threads: start-up only (blocking).
#pragma once

#include <memory>
#include <string>

#include "cli/command.h"
#include "cli/config.h"
#include "db/database.h"

namespace nimbus::cli {

struct LocalDatabase {
  std::string data;  // the data directory
  Config config;
  std::unique_ptr<db::Database> database;
};

// Takes --data and --config. SQLite makes the file when it is absent.
Result<LocalDatabase> open_local_database(const Arguments& arguments);

}  // namespace nimbus::cli
