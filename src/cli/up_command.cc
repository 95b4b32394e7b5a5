// nimbus up, nimbus serve
#include <cstdio>
#include <cstdlib>

#include "base/log.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/data_directory.h"
#include "cli/option_checks.h"
#include "cli/server_process.h"

namespace nimbus::cli {
namespace {

const Option kDataOption = {"--data", "DIR",
                            "Data directory, made when absent (default ./nimbus-data)"};
const Option kListenOption = {
    "--listen", "ADDR:PORT", "Address to listen on (default 127.0.0.1:8080)",
    false,      "",          listen_address};
const Option kConfigOption = {"--config", "FILE",
                              "Configuration (default nimbus.toml of the data directory)"};
const Option kVmmOption = {
    "--vmm",      "NAME", "Virtual machine monitor: auto, qemu or firecracker (default auto)",
    false,        "",     nullptr,
    monitor_names};

Result<void> apply_flags(Config& config, const Arguments& arguments) {
  for (const ConfigKey& key : config_keys()) {
    const bool listen = key.section == "server" && key.name == "listen";
    const bool vmm = key.section == "agent" && key.name == "vmm";
    const bool server = key.section == "agent" && key.name == "server";
    const char* flag = listen ? "--listen" : vmm ? "--vmm" : server ? "--server" : nullptr;
    if (flag == nullptr) continue;
    if (const auto value = arguments.find(flag)) TRY_IN(flag, key.set(config, *value));
  }
  return {};
}

Result<ServerOptions> read_options(const Arguments& arguments) {
  ServerOptions options;
  options.data = arguments.find("--data").value_or(kDataDirectoryDefault);
  // The directory's own nimbus.toml is written at its first use, so it may not be there yet.
  const std::string own = options.data + "/nimbus.toml";
  const bool own_exists = [&] {
    std::FILE* file = std::fopen(own.c_str(), "r");
    if (file != nullptr) std::fclose(file);
    return file != nullptr;
  }();
  const std::string file = arguments.find("--config").value_or(own_exists ? own : "");
  options.config =
      TRY(load_config(file, [](const std::string& name) { return getenv(name.c_str()); }));
  TRY(apply_flags(options.config, arguments));
  const auto level = find_log_level(options.config.server.log_level);
  configure_log(level.value_or(LogLevel::info),
                options.config.server.log_format == "json" ? LogFormat::json : LogFormat::text);
  return options;
}

int run(const ServerOptions& options) {
  const Result<void> ended = run_server(options);
  return ended ? kExitDone : complain(ended.error());
}

int up(const Arguments& arguments) {
  auto options = read_options(arguments);
  if (!options) return complain(options.error());
  options->roles = {Role::control, Role::cache, Role::registry, Role::telemetry};
  if (!arguments.has("--no-agent")) {
    options->roles.insert(Role::agent);
    options->embedded_agent = options->config.agent.server.empty();
  }
  return run(*options);
}

Result<Role> parse_role(const std::string& name) {
  if (name == "control") return Role::control;
  if (name == "cache") return Role::cache;
  if (name == "registry") return Role::registry;
  if (name == "telemetry") return Role::telemetry;
  if (name == "agent") return Role::agent;
  const std::string_view guess = nearest(name, server_roles());
  return fail(Code::bad_request, "unknown role '" + name + "'",
              guess.empty() ? "roles: control, cache, registry, telemetry, agent"
                            : "did you mean '" + std::string(guess) + "'?");
}

int serve(const Arguments& arguments) {
  auto options = read_options(arguments);
  if (!options) return complain(options.error());
  for (const std::string& name : arguments.words()) {
    const auto role = parse_role(name);
    if (!role) {
      complain(role.error());
      return kExitUsage;
    }
    options->roles.insert(*role);
  }
  if (options->roles.contains(Role::agent) && options->config.agent.server.empty()) {
    complain(Error{Code::bad_request, "an agent by itself needs to know its server",
                   "give --server URL, or set agent.server"});
    return kExitUsage;
  }
  return run(*options);
}

}  // namespace

std::vector<Command> up_commands() {
  return {
      {.noun = "up",
       .summary = "Run every role on this machine, on embedded engines",
       .example = "nimbus up --data ./nimbus-data",
       .options = {kDataOption,
                   kListenOption,
                   kConfigOption,
                   kVmmOption,
                   {"--no-agent", "", "Run no jobs here: control, telemetry and dashboard only"}},
       .run = up},
      {.noun = "serve",
       .summary = "Run the named roles alone: control, cache, registry, telemetry, agent",
       .example = "NIMBUS_AGENT_ENROLLMENT_TOKEN_FILE=token nimbus serve agent --server "
                  "https://nimbus.example",
       .options = {kDataOption,
                   kListenOption,
                   kConfigOption,
                   kVmmOption,
                   {"--server", "URL", "The control plane that the agent works for"}},
       .words = {"ROLE..."},
       .word_choices = server_roles,
       .run = serve},
  };
}

}  // namespace nimbus::cli
