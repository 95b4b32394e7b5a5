#include "cli/local_database.h"

#include <sys/stat.h>

#include <cstdlib>

#include "cli/data_directory.h"

namespace nimbus::cli {

Result<LocalDatabase> open_local_database(const Arguments& arguments) {
  LocalDatabase local;
  local.data = arguments.find("--data").value_or(kDataDirectoryDefault);
  local.config = TRY(load_config(arguments.find("--config").value_or(local.data + "/nimbus.toml"),
                                 [](const std::string& name) { return getenv(name.c_str()); }));
  // The database is made here when the server has not run yet.
  ::umask(077);
  const std::string& url = local.config.control.database;
  local.database = TRY(db::Database::open(
      {.url = url.empty() ? "sqlite:" + local.data + "/nimbus.db" : url, .readers = 1}));
  return local;
}

}  // namespace nimbus::cli
