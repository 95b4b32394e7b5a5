// nimbus config check|show|reference
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "cli/commands.h"
#include "cli/config.h"
#include "cli/config_check.h"
#include "cli/data_directory.h"

namespace nimbus::cli {
namespace {

const Option kConfigOption = {"--config", "FILE",
                              "Configuration to read (default nimbus.toml of the data directory)"};
const Option kDataOption = {"--data", "DIR", "Data directory (default ./nimbus-data)"};

// The file that `nimbus up` would read with the same options; "" when there is none.
std::string config_file(const Arguments& arguments) {
  if (auto file = arguments.find("--config")) return *file;
  const std::string file =
      arguments.find("--data").value_or(kDataDirectoryDefault) + "/nimbus.toml";
  return access(file.c_str(), F_OK) == 0 ? file : std::string();
}

Result<Config> load(const Arguments& arguments) {
  return load_config(config_file(arguments),
                     [](const std::string& name) { return getenv(name.c_str()); });
}

int check(const Arguments& arguments) {
  const auto config = load(arguments);
  if (!config) return complain(config.error());
  const auto good = check_start(
      *config, {Role::control, Role::cache, Role::registry, Role::telemetry, Role::agent});
  if (!good) return complain(good.error());
  const std::string file = config_file(arguments);
  std::printf("%s is valid\n", file.empty() ? "the default configuration" : file.c_str());
  return kExitDone;
}

int show(const Arguments& arguments) {
  const auto config = load(arguments);
  if (!config) return complain(config.error());
  std::fputs(config_toml(*config).c_str(), stdout);
  return kExitDone;
}

int reference(const Arguments&) {
  std::fputs(config_reference().c_str(), stdout);
  return kExitDone;
}

}  // namespace

std::vector<Command> config_commands() {
  return {
      {.noun = "config",
       .verb = "check",
       .summary = "Say whether the configuration is valid",
       .example = "nimbus config check --config nimbus.toml",
       .options = {kConfigOption, kDataOption},
       .run = check},
      {.noun = "config",
       .verb = "show",
       .summary = "Print the configuration in force, secrets hidden",
       .example = "nimbus config show",
       .options = {kConfigOption, kDataOption},
       .run = show},
      {.noun = "config",
       .verb = "reference",
       .summary = "Print every key with its default and meaning",
       .example = "nimbus config reference",
       .run = reference},
  };
}

}  // namespace nimbus::cli
