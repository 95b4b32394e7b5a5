// nimbus config check|show|reference
#include <unistd.h>

#include <boost/json.hpp>
#include <cstdio>
#include <cstdlib>

#include "cli/commands.h"
#include "cli/config.h"
#include "cli/config_check.h"
#include "cli/data_directory.h"
#include "cli/table.h"

namespace nimbus::cli {
namespace {

namespace json = boost::json;

const Option kConfigOption = {"--config", "FILE",
                              "Configuration to read (default nimbus.toml of the data directory)"};
const Option kJsonOption = {"--json", "", "Print JSON for scripts"};
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

Result<void> check_all(const Arguments& arguments) {
  const Config config = TRY(load(arguments));
  return check_start(config,
                     {Role::control, Role::cache, Role::registry, Role::telemetry, Role::agent});
}

json::value text_or_null(const std::string& text) {
  return text.empty() ? json::value(nullptr) : json::value(text);
}

int check(const Arguments& arguments) {
  const auto good = check_all(arguments);
  const std::string file = config_file(arguments);
  if (arguments.has("--json")) {
    const Error fault = good ? Error{} : good.error();
    print_json(json::object{{"file", text_or_null(file)},
                            {"valid", good.has_value()},
                            {"error", text_or_null(fault.message)},
                            {"hint", text_or_null(fault.hint)}});
    return good ? kExitDone : kExitFailed;
  }
  if (!good) return complain(good.error());
  std::printf("%s is valid\n", file.empty() ? "the default configuration" : file.c_str());
  return kExitDone;
}

int show(const Arguments& arguments) {
  const auto config = load(arguments);
  if (!config) return complain(config.error());
  if (arguments.has("--json")) {
    print_json(config_json(*config));
  } else {
    print_out(config_toml(*config));
  }
  return kExitDone;
}

int reference(const Arguments& arguments) {
  if (arguments.has("--json")) {
    print_json(config_reference_json());
  } else {
    print_out(config_reference());
  }
  return kExitDone;
}

}  // namespace

std::vector<Command> config_commands() {
  return {
      {.noun = "config",
       .verb = "check",
       .summary = "Say whether the configuration is valid",
       .example = "nimbus config check --config nimbus.toml",
       .options = {kConfigOption, kDataOption, kJsonOption},
       .run = check},
      {.noun = "config",
       .verb = "show",
       .summary = "Print the configuration in force, secrets hidden",
       .example = "nimbus config show",
       .options = {kConfigOption, kDataOption, kJsonOption},
       .run = show},
      {.noun = "config",
       .verb = "reference",
       .summary = "Print every key with its default and meaning",
       .example = "nimbus config reference",
       .options = {kJsonOption},
       .run = reference},
  };
}

}  // namespace nimbus::cli
