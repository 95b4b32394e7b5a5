// nimbus doctor: what this machine has, what it lacks, and how to get it.
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <boost/json.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <set>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/config.h"
#include "cli/data_directory.h"
#include "cli/installation.h"
#include "image/store.h"
#include "os/atomic_file.h"
#include "os/privilege.h"
#include "vm/qemu_host.h"

namespace nimbus::cli {
namespace {

constexpr double kFreeGibMin = 5;

// For what a check has to write; removed with the object.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = "/tmp/nimbus-doctor-XXXXXX";
    if (mkdtemp(pattern.data()) != nullptr) path_ = pattern;
  }
  ~TemporaryDirectory() {
    if (!path_.empty()) (void)os::remove_tree(path_);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

os::HostCheck file_check(std::string name, const std::string& path, std::string hint) {
  return {std::move(name), !path.empty(), true, path.empty() ? "not found" : path, std::move(hint)};
}

os::HostCheck program_check(const std::string& name, const std::string& package) {
  for (const std::string folder : {"/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/"}) {
    if (access((folder + name).c_str(), X_OK) == 0) return {name, true, true, folder + name, ""};
  }
  return {name, false, true, "not found", "apt-get install " + package};
}

// What the agent would find: images of its store and archives that can be read.
os::HostCheck images_check(const Installation& found, const std::string& data) {
  constexpr const char* kHint =
      "run `make images`, name a folder in agent.image_archives, or `nimbus image import` one";
  const std::string own = data + "/agent/images";
  size_t imported = 0;
  std::set<std::string> archived;
  const TemporaryDirectory empty;
  const bool has_own = access(own.c_str(), R_OK | W_OK | X_OK) == 0;
  const auto store = image::Store::open(
      {.directory = has_own ? own : empty.path() + "/images", .archives = found.image_archives});
  if (!store) return {"runner images", false, true, store.error().message, kHint};
  if (const auto images = (*store)->list()) imported = images->size();
  for (const auto& archive : (*store)->archived()) archived.insert(archive.name);
  std::string names;
  for (const auto& name : archived) names += (names.empty() ? " (" : ", ") + name;
  return {"runner images", imported + archived.size() > 0, true,
          std::to_string(imported) + " imported, " + std::to_string(archived.size()) +
              " in archives" + (names.empty() ? "" : names + ")"),
          kHint};
}

// A device that opens is no KVM that works: a guest is booted with it, as the agent does when it
// starts. Nothing is remembered.
os::HostCheck kvm_check(const Installation& found) {
  constexpr const char* kSlow = "without KVM guests are emulated, several times slower";
  const bool device = access("/dev/kvm", R_OK | W_OK) == 0;
  const std::string before =
      device ? "/dev/kvm is there, but not probed: " : "/dev/kvm cannot be opened, not probed: ";
  if (found.kernel.empty()) return {"KVM", false, false, before + "no guest kernel", kSlow};
  const TemporaryDirectory cache;
  vm::QemuOptions options;
  options.cache_directory = cache.path();
  const auto host = vm::inspect_host(options, found.kernel);
  if (!host) return {"KVM", false, false, before + host.error().message, kSlow};
  const bool works = host->accel == "kvm";
  return {"KVM", works, false,
          works ? "boots a guest, with QEMU " + host->version : "not used: " + host->detail, kSlow};
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

os::HostCheck clickhouse_check(const Config& config, const Installation& found) {
  auto check = file_check("embedded ClickHouse", found.libchdb, "run `make deps build`");
  check.needed = config.telemetry.clickhouse == "embedded:";
  std::ifstream file(found.libchdb, std::ios::binary);
  std::array<char, 4> magic{};
  if (check.ok && (!file.read(magic.data(), magic.size()) ||
                   std::string_view(magic.data(), magic.size()) != "\x7f"
                                                                   "ELF")) {
    check.ok = false;
    check.detail += " is not a library";
  }
  return check;
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
  checks.push_back(kvm_check(found));
  checks.push_back(clickhouse_check(effective, found));
  checks.push_back(images_check(found, data));
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
  configure_log(LogLevel::warn, LogFormat::text);  // what the checks find is their result
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
           .notes = "Boots a guest for a moment to see whether KVM works. Exits with 1 when "
                    "something needed is\n"
                    "missing.",
           .run = doctor}};
}

}  // namespace nimbus::cli
