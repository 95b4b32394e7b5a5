// What agents that were killed leave on the host when nobody starts them again: an empty cgroup
// `nimbus-INSTANCE` with empty slots, and the run directory with the sockets of VMs that are gone.
// An agent that starts removes them.
//
// An instance is dead when the lock of its run directory is there and nobody holds it. One without
// a lock file may be anybody's (another mount of /run, say) and is left alone; so is every group
// with a process in it: a VM that outlived its agent is that agent's to take up again.
//
// Threads: blocks; for start-up.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "os/lock_file.h"

namespace nimbus::agent {

// Says that this instance is alive, as long as the lock is kept. conflict: another process is.
Result<os::LockFile> hold_instance(const std::string& run_directory);

// The run directory, when nothing but the lock is left in it; for an agent that ends in order.
void forget_instance(const std::string& run_directory);

// The groups and run directories of dead instances other than `own`: RUN_ROOT/nimbus-INSTANCE. One
// whose group has a process keeps both. Tells the log what it removed and why one stayed that
// should not have.
void remove_dead_instances(std::string_view own, const std::string& run_root);

}  // namespace nimbus::agent
