// nimbus doctor: what this machine has, what it lacks, and how to get it.
#include <sys/statvfs.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cstdio>
#include <cstdlib>

#include "cli/commands.h"
#include "cli/config.h"
#include "cli/data_directory.h"
#include "cli/installation.h"
#include "os/privilege.h"

namespace nimbus::cli {
namespace {

constexpr double kFreeGibMin = 5;

os::HostCheck file_check(std::string name, const std::string& path, std::string hint) {
  return {std::move(name), !path.empty(), true, path.empty() ? "not found" : path, std::move(hint)};
}

os::HostCheck program_check(const std::string& name, const std::string& package) {
  for (const std::string folder : {"/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/"}) {
    if (access((folder + name).c_str(), X_OK) == 0) return {name, true, true, folder + name, ""};
  }
  return {name, false, true, "not found", "apt-get install " + package};
}

os::HostCheck images_check(const Installation& found) {
  std::string folders;
  for (const auto& folder : found.image_archives) folders += (folders.empty() ? "" : ", ") + folder;
  return {"runner images", !folders.empty(), true,
          folders.empty() ? "no folder of archives" : folders,
          "run `make images`, or name a folder in agent.image_archives"};
}

os::HostCheck space_check(const std::string& data) {
  struct statvfs status{};
  const std::string where = access(data.c_str(), F_OK) == 0 ? data : ".";
  if (statvfs(where.c_str(), &status) != 0) return {"disk space", false, false, "cannot tell", ""};
  const double gib =
      static_cast<double>(status.f_bavail) * static_cast<double>(status.f_frsize) / (1 << 30);
  char text[64];
  std::snprintf(text, sizeof text, "%.1f GiB free in %s", gib, where.c_str());
  return {"disk space", gib >= kFreeGibMin, false, text, "jobs need room for their scratch disks"};
}

Result<std::vector<os::HostCheck>> all_checks(const std::string& data,
                                              const std::string& config_file) {
  std::vector<os::HostCheck> checks;
  const auto config =
      load_config(config_file, [](const std::string& name) { return getenv(name.c_str()); });
  checks.push_back(
      {"configuration", config.has_value(), true,
       config ? (config_file.empty() ? "defaults" : config_file) : config.error().message,
       config ? "" : config.error().hint});
  const Config effective = config ? *config : Config{};
  const Installation found = TRY(find_installation(effective));
  for (auto& check : os::check_host()) checks.push_back(std::move(check));
  checks.push_back(program_check("qemu-system-x86_64", "qemu-system-x86"));
  checks.push_back(program_check("sqfstar", "squashfs-tools"));
  checks.push_back(program_check("mkfs.ext4", "e2fsprogs"));
  checks.push_back(file_check("guest kernel", found.kernel, "run `make build`"));
  checks.push_back(file_check("guest initramfs", found.initramfs, "run `make build`"));
  auto clickhouse = file_check("embedded ClickHouse", found.libchdb, "run `make deps build`");
  clickhouse.needed = effective.telemetry.clickhouse == "embedded:";
  checks.push_back(std::move(clickhouse));
  checks.push_back(images_check(found));
  checks.push_back(space_check(data));
  return checks;
}

void print_table(const std::vector<os::HostCheck>& checks) {
  for (const auto& check : checks) {
    const char* verdict = check.ok ? "ok" : check.needed ? "MISSING" : "without";
    std::printf("%-8s %-22s %s\n", verdict, check.name.c_str(), check.detail.c_str());
    if (!check.ok && !check.hint.empty())
      std::printf("%-8s %-22s hint: %s\n", "", "", check.hint.c_str());
  }
}

void print_json(const std::vector<os::HostCheck>& checks) {
  boost::json::array lines;
  for (const auto& check : checks) {
    lines.push_back(boost::json::object{{"name", check.name},
                                        {"ok", check.ok},
                                        {"needed", check.needed},
                                        {"detail", check.detail},
                                        {"hint", check.hint}});
  }
  std::printf("%s\n", boost::json::serialize(lines).c_str());
}

int doctor(const Arguments& arguments) {
  const std::string data = arguments.find("--data").value_or(kDataDirectoryDefault);
  const std::string beside = data + "/nimbus.toml";
  const std::string file =
      arguments.find("--config").value_or(access(beside.c_str(), F_OK) == 0 ? beside : "");
  const auto checks = all_checks(data, file);
  if (!checks) return complain(checks.error());
  if (arguments.has("--json")) {
    print_json(*checks);
  } else {
    print_table(*checks);
  }
  for (const auto& check : *checks) {
    if (!check.ok && check.needed) return kExitFailed;
  }
  return kExitDone;
}

}  // namespace

std::vector<Command> doctor_commands() {
  return {{.noun = "doctor",
           .summary = "Check this machine: what is missing, and how to get it",
           .example = "nimbus doctor",
           .options = {{"--data", "DIR", "Data directory (default ./nimbus-data)"},
                       {"--config", "FILE",
                        "Configuration (default nimbus.toml of the data directory)"},
                       {"--json", "", "Print JSON for scripts"}},
           .run = doctor}};
}

}  // namespace nimbus::cli
