#include "agent/dead_instances.h"

#include <unistd.h>

#include <algorithm>
#include <optional>

#include "base/log.h"
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
  for (const std::string& name : *groups) {
    const auto instance = find_instance(name);
    if (!instance || *instance == own) continue;
    std::string directory = run_root;
    directory.append("/").append(name);
    const std::string lock = lock_path(directory);
    if (::access(lock.c_str(), F_OK) != 0) continue;
    const auto held = os::LockFile::acquire(lock);  // until it is removed: nobody starts meanwhile
    if (!held) continue;
    const auto removed = remove_if_empty(name);
    if (!removed) {
      log_warn("the cgroup of a dead agent stays", {{"reason", removed.error().message}});
    } else if (*removed) {
      log_info("removed the empty cgroup of a dead agent", {{"cgroup", name}});
    }
  }
}

}  // namespace nimbus::agent
