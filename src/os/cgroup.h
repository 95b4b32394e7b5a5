// Control groups: memory, CPU and process limits for a tree of processes, and the only sure way to
// kill all of it. Two backends behind one class: v2 (the unified hierarchy) and v1 (one mount a
// controller); which one is the machine's choice. A machine with neither is reported, not hidden.
//
// Names are paths below the hierarchy's root, "nimbus-a1/slot-0": the same in both backends.
//
// Threads: any; calls are short file system operations.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace nimbus::os {

enum class CgroupKind { v2, v1, unavailable };
std::string_view to_string(CgroupKind kind);

struct CgroupSupport {
  CgroupKind kind = CgroupKind::unavailable;
  std::string detail;  // why unavailable, or which controllers are missing
};

struct CgroupLimits {
  std::optional<uint64_t> memory_bytes_max;  // swap is not given on top where the kernel can say so
  std::optional<double> cpus;                // 1.5: one and a half CPUs of time
  std::optional<uint32_t> pids_max;
};

struct CgroupStats {
  uint64_t memory_bytes = 0;
  uint64_t memory_bytes_peak = 0;  // 0 where the kernel does not count it
  uint64_t cpu_us = 0;
  uint64_t oom_kills = 0;
  uint32_t pids = 0;
};

class Cgroup {
 public:
  // What this process can use: found by mounts and by making and removing a group.
  static CgroupSupport find_support();

  // Creates the group (an existing one is taken over) and sets its limits. unavailable: no usable
  // hierarchy. A controller that is missing fails only the limit that needs it.
  static Result<Cgroup> create(std::string_view name, const CgroupLimits& limits);
  // not_found: there is no such group.
  static Result<Cgroup> open(std::string_view name);
  // Names directly below `parent` ("": the root), for a reaper; empty when the parent is absent.
  static Result<std::vector<std::string>> list(std::string_view parent);

  const std::string& name() const { return name_; }
  // For SpawnOptions::cgroup_procs.
  std::vector<std::string> procs_files() const;
  Result<void> attach(pid_t pid);
  Result<std::vector<pid_t>> processes() const;  // of this group alone
  Result<CgroupStats> stats() const;
  // Kills every process in it, forks in flight included. Does not wait for them to be gone.
  Result<void> kill();
  // Removes it. conflict: processes are still inside. Absent is done.
  Result<void> remove();

 private:
  std::string name_;
  CgroupKind kind_ = CgroupKind::unavailable;
  // {controller, directory}: one for all ("", v2), or one a controller (v1).
  std::vector<std::pair<std::string, std::string>> directories_;
  const std::string* find_directory(std::string_view controller) const;
  Result<void> set_limits(const CgroupLimits& limits);
};

}  // namespace nimbus::os
