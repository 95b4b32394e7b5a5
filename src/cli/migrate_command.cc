// nimbus migrate status|up
#include <boost/json.hpp>
#include <cstdio>

#include "access/token_book.h"
#include "base/clock.h"
#include "blob/catalog.h"
#include "cache/migrations.h"
#include "cli/commands.h"
#include "cli/local_database.h"
#include "cli/migrations.h"
#include "control/agent_store.h"
#include "control/migrations.h"
#include "control/org_store.h"
#include "registry/tables.h"

namespace nimbus::cli {
namespace {

const std::vector<Option> kOptions = {
    {"--data", "DIR", "Data directory (default ./nimbus-data)"},
    {"--config", "FILE", "Configuration (default nimbus.toml of the data directory)"},
    {"--json", "", "Print JSON for scripts"}};

Result<boost::json::array> read_status(db::Database& database) {
  boost::json::array lines;
  for (const db::MigrationSet* set : relational_migrations()) {
    for (const db::MigrationStatus& line : TRY(db::migration_status(database, *set))) {
      lines.push_back(boost::json::object{
          {"set", line.set},
          {"number", line.number},
          {"name", line.name},
          {"applied_at", line.applied_at ? boost::json::value(to_rfc3339(*line.applied_at))
                                         : boost::json::value(nullptr)}});
    }
  }
  return lines;
}

int status(const Arguments& arguments) {
  const auto database = open_local_database(arguments);
  if (!database) return complain(database.error());
  const auto lines = read_status(*database->database);
  if (!lines) return complain(lines.error());
  if (arguments.has("--json")) {
    std::printf("%s\n", boost::json::serialize(*lines).c_str());
    return kExitDone;
  }
  for (const auto& value : *lines) {
    const auto& line = value.as_object();
    const auto& applied = line.at("applied_at");
    std::printf("%-10s %3d  %-32s %s\n", line.at("set").as_string().c_str(),
                static_cast<int>(line.at("number").as_int64()), line.at("name").as_string().c_str(),
                applied.is_null() ? "pending" : applied.as_string().c_str());
  }
  return kExitDone;
}

int up(const Arguments& arguments) {
  const auto database = open_local_database(arguments);
  if (!database) return complain(database.error());
  const auto count = migrate_all(*database->database, system_clock().now());
  if (!count) return complain(count.error());
  if (arguments.has("--json")) {
    std::printf("{\"applied\":%d}\n", *count);
  } else {
    std::printf("%d migrations applied\n", *count);
  }
  return kExitDone;
}

}  // namespace

std::vector<const db::MigrationSet*> relational_migrations() {
  return {&access::access_migrations(),    &control::org_migrations(), &control::agent_migrations(),
          &control::control_migrations(),  &blob::blob_migrations(),   &cache::cache_migrations(),
          &registry::registry_migrations()};
}

Result<int> migrate_all(db::Database& database, Time now) {
  int count = 0;
  for (const db::MigrationSet* set : relational_migrations()) {
    count += TRY(db::migrate(database, *set, now));
  }
  return count;
}

std::vector<Command> migrate_commands() {
  return {
      {.noun = "migrate",
       .verb = "status",
       .summary = "List migrations and when they were applied",
       .example = "nimbus migrate status",
       .options = kOptions,
       .run = status},
      {.noun = "migrate",
       .verb = "up",
       .summary = "Apply the migrations that are missing",
       .example = "nimbus migrate up",
       .options = kOptions,
       .run = up},
  };
}

}  // namespace nimbus::cli
