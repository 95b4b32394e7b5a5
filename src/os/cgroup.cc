#include "os/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <set>

#include "base/text.h"
#include "os/atomic_file.h"
#include "os/unique_fd.h"

namespace nimbus::os {

namespace {

constexpr size_t kControlFileBytesMax = 1 << 20;
constexpr size_t kMountInfoBytesMax = 4 << 20;
constexpr unsigned kCpuPeriodUs = 100'000;
constexpr int kKillRoundsMax = 20;

// What each backend needs. v1 splits CPU time and CPU accounting; the freezer stops a group while
// it is killed.
constexpr std::array<std::string_view, 3> kControllersV2 = {"memory", "cpu", "pids"};
constexpr std::array<std::string_view, 5> kControllersV1 = {"memory", "cpu", "cpuacct", "pids",
                                                            "freezer"};

struct Hierarchy {
  CgroupKind kind = CgroupKind::unavailable;
  // {controller, mount point}; v2 has one with an empty name.
  std::vector<std::pair<std::string, std::string>> mounts;
  std::string missing;  // controllers, comma separated
};

bool contains(const std::vector<std::string_view>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// One line of /proc/self/mountinfo: mount point (field 5), type and super options after " - ".
struct Mount {
  std::string_view point, type, options;
};
std::vector<Mount> parse_mounts(std::string_view text) {
  std::vector<Mount> mounts;
  for (const auto line : split(text, '\n')) {
    const auto dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    const auto before = split(line.substr(0, dash), ' ');
    const auto after = split(line.substr(dash + 3), ' ');
    if (before.size() < 5 || after.size() < 3) continue;
    mounts.push_back({before[4], after[0], after[2]});
  }
  return mounts;
}

Hierarchy find_hierarchy() {
  Hierarchy found;
  const auto text = read_file("/proc/self/mountinfo", kMountInfoBytesMax);
  if (!text) return found;
  const auto mounts = parse_mounts(*text);
  for (const auto& mount : mounts) {
    if (mount.type != "cgroup2") continue;
    const auto file =
        read_file(fmt::format("{}/cgroup.controllers", mount.point), kControlFileBytesMax);
    if (!file) continue;
    const auto offered = split(trim(*file), ' ');
    if (std::all_of(kControllersV2.begin(), kControllersV2.end(),
                    [&](auto controller) { return contains(offered, controller); }))
      return {CgroupKind::v2, {{"", std::string(mount.point)}}, ""};
  }
  for (const auto controller : kControllersV1) {
    const auto mount = std::find_if(mounts.begin(), mounts.end(), [&](const Mount& candidate) {
      return candidate.type == "cgroup" && contains(split(candidate.options, ','), controller);
    });
    if (mount != mounts.end()) {
      found.mounts.emplace_back(controller, mount->point);
    } else {
      found.missing += (found.missing.empty() ? "" : ",") + std::string(controller);
    }
  }
  if (!found.mounts.empty()) found.kind = CgroupKind::v1;
  return found;
}

Result<void> check_name(std::string_view name) {
  for (const auto part : split(name, '/')) {
    const bool plain = std::all_of(part.begin(), part.end(), [](unsigned char c) {
      return ::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
    });
    if (part.empty() || part[0] == '.' || !plain || part.size() > 64)
      return fail(Code::bad_request, fmt::format("not a cgroup name: {:.80}", name));
  }
  return {};
}

// A control file takes one write; its error is the kernel's answer.
Result<void> write_control(const std::string& path, std::string_view value) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd || ::write(fd.get(), value.data(), value.size()) < 0)
    return fail(errno_error(fmt::format("writing {} to {}", value, path), errno));
  return {};
}

uint64_t parse_number(std::string_view text) {
  uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}
uint64_t read_number(const std::string& path) {
  const auto text = read_file(path, kControlFileBytesMax);
  return text ? parse_number(trim(*text)) : 0;
}
// The number after `key ` in a file of "key value" lines.
uint64_t read_keyed(const std::string& path, std::string_view key) {
  const auto text = read_file(path, kControlFileBytesMax);
  if (!text) return 0;
  for (const auto line : split(*text, '\n'))
    if (line.substr(0, key.size()) == key && line.size() > key.size() && line[key.size()] == ' ')
      return parse_number(line.substr(key.size() + 1));
  return 0;
}

Result<std::vector<pid_t>> read_pids(const std::string& directory) {
  const auto text = TRY(read_file(directory + "/cgroup.procs", kControlFileBytesMax));
  std::vector<pid_t> pids;
  for (const auto line : split(text, '\n'))
    if (!line.empty()) pids.push_back(static_cast<pid_t>(parse_number(line)));
  return pids;
}

bool is_directory(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

// v2 hands controllers down one level at a time.
Result<void> make_group(const std::string& mount, std::string_view name, bool delegate) {
  std::string path = mount;
  for (const auto part : split(name, '/')) {
    if (delegate) TRY(write_control(path + "/cgroup.subtree_control", "+memory +cpu +pids"));
    path += fmt::format("/{}", part);
    if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST)
      return fail(errno_error("making cgroup " + path, errno));
  }
  return {};
}

}  // namespace

std::string_view to_string(CgroupKind kind) {
  switch (kind) {
    case CgroupKind::v2: return "v2";
    case CgroupKind::v1: return "v1";
    case CgroupKind::unavailable: return "unavailable";
  }
  return "unavailable";
}

CgroupSupport Cgroup::find_support() {
  const auto hierarchy = find_hierarchy();
  if (hierarchy.kind == CgroupKind::unavailable)
    return {CgroupKind::unavailable, "no cgroup hierarchy with memory, cpu and pids is mounted"};
  auto probe = create(fmt::format("nimbus-probe-{}", ::getpid()), {});
  if (!probe) return {CgroupKind::unavailable, probe.error().message};
  const auto removed = probe->remove();
  if (!removed) return {CgroupKind::unavailable, removed.error().message};
  return {hierarchy.kind, hierarchy.missing.empty() ? "" : "missing: " + hierarchy.missing};
}

Result<Cgroup> Cgroup::create(std::string_view name, const CgroupLimits& limits) {
  TRY(check_name(name));
  const auto hierarchy = find_hierarchy();
  if (hierarchy.kind == CgroupKind::unavailable)
    return fail(Code::unavailable, "no cgroup hierarchy with memory, cpu and pids is mounted");
  Cgroup group;
  group.name_ = name;
  group.kind_ = hierarchy.kind;
  for (const auto& [controller, mount] : hierarchy.mounts) {
    TRY(make_group(mount, name, hierarchy.kind == CgroupKind::v2));
    group.directories_.emplace_back(controller, fmt::format("{}/{}", mount, name));
  }
  TRY(group.set_limits(limits));
  return group;
}

Result<void> Cgroup::set_limits(const CgroupLimits& limits) {
  const auto need = [&](std::string_view controller) -> Result<std::string> {
    const auto* directory = find_directory(controller);
    if (directory == nullptr)
      return fail(Code::unavailable, fmt::format("the {} controller is not mounted", controller));
    return *directory;
  };
  const bool v2 = kind_ == CgroupKind::v2;
  if (limits.memory_bytes_max) {
    const auto directory = TRY(need("memory"));
    const auto value = fmt::format("{}", *limits.memory_bytes_max);
    if (v2) {
      TRY(write_control(directory + "/memory.max", value));
      // Absent on kernels without swap; then there is nothing to forbid.
      (void)write_control(directory + "/memory.swap.max", "0");
      (void)write_control(directory + "/memory.oom.group", "1");
    } else {
      // The sum of memory and swap may never be the smaller one, so it is lifted first.
      (void)write_control(directory + "/memory.memsw.limit_in_bytes", "-1");
      TRY(write_control(directory + "/memory.limit_in_bytes", value));
      (void)write_control(directory + "/memory.memsw.limit_in_bytes", value);
    }
  }
  if (limits.cpus) {
    const auto directory = TRY(need("cpu"));
    const auto quota = static_cast<unsigned>(std::max(*limits.cpus * kCpuPeriodUs, 1000.0));
    if (v2) {
      TRY(write_control(directory + "/cpu.max", fmt::format("{} {}", quota, kCpuPeriodUs)));
    } else {
      TRY(write_control(directory + "/cpu.cfs_period_us", fmt::format("{}", kCpuPeriodUs)));
      TRY(write_control(directory + "/cpu.cfs_quota_us", fmt::format("{}", quota)));
    }
  }
  if (limits.pids_max) {
    const auto directory = TRY(need("pids"));
    TRY(write_control(directory + "/pids.max", fmt::format("{}", *limits.pids_max)));
  }
  return {};
}

Result<Cgroup> Cgroup::open(std::string_view name) {
  TRY(check_name(name));
  const auto hierarchy = find_hierarchy();
  Cgroup group;
  group.name_ = name;
  group.kind_ = hierarchy.kind;
  for (const auto& [controller, mount] : hierarchy.mounts) {
    auto directory = fmt::format("{}/{}", mount, name);
    if (is_directory(directory)) group.directories_.emplace_back(controller, std::move(directory));
  }
  if (group.directories_.empty()) return fail(Code::not_found, fmt::format("no cgroup {}", name));
  return group;
}

Result<std::vector<std::string>> Cgroup::list(std::string_view parent) {
  if (!parent.empty()) TRY(check_name(parent));
  std::set<std::string> names;
  for (const auto& [controller, mount] : find_hierarchy().mounts) {
    DIR* directory = ::opendir(fmt::format("{}/{}", mount, parent).c_str());
    if (directory == nullptr) continue;
    while (const dirent* entry = ::readdir(directory))
      if (entry->d_type == DT_DIR && entry->d_name[0] != '.') names.insert(entry->d_name);
    ::closedir(directory);
  }
  return std::vector<std::string>(names.begin(), names.end());
}

const std::string* Cgroup::find_directory(std::string_view controller) const {
  for (const auto& [name, directory] : directories_)
    if (name.empty() || name == controller) return &directory;
  return nullptr;
}

std::vector<std::string> Cgroup::procs_files() const {
  std::vector<std::string> files;
  for (const auto& [controller, directory] : directories_)
    files.push_back(directory + "/cgroup.procs");
  return files;
}

Result<void> Cgroup::attach(pid_t pid) {
  for (const auto& file : procs_files()) TRY(write_control(file, fmt::format("{}", pid)));
  return {};
}

Result<std::vector<pid_t>> Cgroup::processes() const {
  std::set<pid_t> pids;
  for (const auto& [controller, directory] : directories_)
    for (const pid_t pid : TRY(read_pids(directory))) pids.insert(pid);
  return std::vector<pid_t>(pids.begin(), pids.end());
}

Result<CgroupStats> Cgroup::stats() const {
  CgroupStats stats;
  stats.pids = static_cast<uint32_t>(TRY(processes()).size());
  const bool v2 = kind_ == CgroupKind::v2;
  if (const auto* memory = find_directory("memory")) {
    stats.memory_bytes = read_number(*memory + (v2 ? "/memory.current" : "/memory.usage_in_bytes"));
    stats.memory_bytes_peak =
        read_number(*memory + (v2 ? "/memory.peak" : "/memory.max_usage_in_bytes"));
    stats.oom_kills =
        read_keyed(*memory + (v2 ? "/memory.events" : "/memory.oom_control"), "oom_kill");
  }
  if (const auto* cpu = find_directory("cpuacct"))
    stats.cpu_us = v2 ? read_keyed(*cpu + "/cpu.stat", "usage_usec")
                      : read_number(*cpu + "/cpuacct.usage") / 1000;
  return stats;
}

Result<void> Cgroup::kill() {
  if (kind_ == CgroupKind::v2 && !directories_.empty()) {
    const auto& directory = directories_.front().second;
    if (write_control(directory + "/cgroup.kill", "1")) return {};  // absent before Linux 5.14
  }
  // A frozen group can neither fork nor end, so one round finds everything; the kill takes effect
  // when it thaws. Without a freezer a few rounds outrun a fork.
  const auto* freezer = kind_ == CgroupKind::v1 ? find_directory("freezer") : nullptr;
  if (freezer != nullptr) (void)write_control(*freezer + "/freezer.state", "FROZEN");
  for (int round = 0; round < kKillRoundsMax; ++round) {
    const auto pids = TRY(processes());
    for (const pid_t pid : pids) ::kill(pid, SIGKILL);
    if (pids.empty() || freezer != nullptr) break;
  }
  if (freezer != nullptr) TRY(write_control(*freezer + "/freezer.state", "THAWED"));
  return {};
}

Result<void> Cgroup::remove() {
  for (const auto& [controller, directory] : directories_) {
    if (::rmdir(directory.c_str()) == 0 || errno == ENOENT) continue;
    Error error = errno_error("removing cgroup " + directory, errno);
    if (errno == EBUSY) error.code = Code::conflict;
    return fail(std::move(error));
  }
  return {};
}

}  // namespace nimbus::os
