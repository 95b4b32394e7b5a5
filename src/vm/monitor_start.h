// Starts a QEMU with everything it inherits in place: control and console sockets with this program
// already connected, the tap, its cgroup, its namespace.
//
// Threads: any; calls block for a few milliseconds.
#pragma once

#include "base/result.h"
#include "os/process.h"
#include "os/unique_fd.h"
#include "vm/machine.h"
#include "vm/qemu_command.h"

namespace nimbus::vm {

struct StartedMonitor {
  os::Process process;
  os::UniqueFd qmp;      // connected, the greeting not yet read
  os::UniqueFd console;  // connected
  os::UniqueFd errors;   // the reading end of its standard error
};

Result<StartedMonitor> start_monitor(const MachineSpec& spec, const QemuLaunch& launch);

// The machine's files in its directory, and a connection to one of its sockets.
std::string qmp_socket(const std::string& directory);
std::string console_socket(const std::string& directory);
std::string console_file(const std::string& directory);
std::string root_directory(const std::string& directory);
Result<os::UniqueFd> connect_socket(const std::string& path);
Result<void> remove_machine_files(const std::string& directory);

}  // namespace nimbus::vm
