#include "agent/dead_instances.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "os/atomic_file.h"
#include "os/cgroup.h"

namespace nimbus::agent {
namespace {

constexpr std::string_view kGroupPrefix = "nimbus-";
constexpr size_t kInstanceBytes = 6;

std::string lock_path(const std::string& run_directory) { return run_directory + "/lock"; }

// Of a group that an agent made: what `instance_name` gives, no probe and nobody else's.
std::optional<std::string_view> find_instance(std::string_view group) {
  if (!group.starts_with(kGroupPrefix)) return std::nullopt;
  const std::string_view instance = group.substr(kGroupPrefix.size());
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '2' && c <= '7'); };
  if (instance.size() != kInstanceBytes || !std::all_of(instance.begin(), instance.end(), letter)) {
    return std::nullopt;
  }
  return instance;
}

// Real directories alone, and of this user: nobody is led elsewhere by a link.
std::vector<std::string> run_directories(const std::string& run_root) {
  std::vector<std::string> names;
  DIR* folder = ::opendir(run_root.c_str());
  if (folder == nullptr) return names;
  while (const dirent* entry = ::readdir(folder)) {
    struct stat status{};
    if (!find_instance(entry->d_name)) continue;
    if (::fstatat(::dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (S_ISDIR(status.st_mode) && status.st_uid == ::geteuid()) names.emplace_back(entry->d_name);
  }
  ::closedir(folder);
  return names;
}

// The group and its slots, when no process is in any of them.
Result<bool> remove_if_empty(const std::string& name) {
  std::vector<os::Cgroup> groups;  // slots first, as they must go
  for (const std::string& slot : TRY(os::Cgroup::list(name))) {
    std::string path = name;
    path.append("/").append(slot);
    groups.push_back(TRY(os::Cgroup::open(path)));
  }
  groups.push_back(TRY(os::Cgroup::open(name)));
  for (const os::Cgroup& group : groups) {
    if (!TRY(group.processes()).empty()) return false;
  }
  for (os::Cgroup& group : groups) TRY(group.remove());
  return true;
}

}  // namespace

Result<os::LockFile> hold_instance(const std::string& run_directory) {
  return os::LockFile::acquire(lock_path(run_directory));
}

void forget_instance(const std::string& run_directory) {
  (void)::unlink(lock_path(run_directory).c_str());
  (void)::rmdir(run_directory.c_str());
}

void remove_dead_instances(std::string_view own, const std::string& run_root) {
  const auto groups = os::Cgroup::list("");
  if (!groups) return;
  for (const std::string& name : run_directories(run_root)) {
    if (*find_instance(name) == own) continue;
    std::string directory = run_root;
    directory.append("/").append(name);
    const std::string lock = lock_path(directory);
    if (::access(lock.c_str(), F_OK) != 0) continue;
    const auto held = os::LockFile::acquire(lock);  // until it is removed: nobody starts meanwhile
    if (!held) continue;
    const bool has_group = std::find(groups->begin(), groups->end(), name) != groups->end();
    const auto removed = has_group ? remove_if_empty(name) : Result<bool>(true);
    if (!removed) {
      log_warn("the cgroup of a dead agent stays", {{"reason", removed.error().message}});
      continue;
    }
    if (!*removed) continue;
    if (const auto gone = os::remove_tree(directory); !gone) {
      log_warn("the run directory of a dead agent stays", {{"reason", gone.error().message}});
      continue;
    }
    log_info("removed what a dead agent left", {{"directory", directory}, {"cgroup", has_group}});
  }
}

}  // namespace nimbus::agent
