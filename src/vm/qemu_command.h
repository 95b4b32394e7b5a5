// QEMU's command line for a machine: a pure function, so that what a guest gets can be read and
// tested without starting one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vm/machine.h"

namespace nimbus::vm {

// The numbers under which QEMU inherits its descriptors.
constexpr int kQmpFd = 3;      // a listening socket with one connection waiting
constexpr int kConsoleFd = 4;  // the same
constexpr int kTapFd = 5;

struct QemuLaunch {
  std::string binary;
  std::string kernel;           // an ELF
  std::string accel;            // "kvm" or "tcg"
  uint64_t tsc_khz = 0;         // told to an emulated guest
  std::string memory_file;      // "": anonymous memory
  bool memory_shared = false;   // writes reach the file: the machine to be frozen
  bool incoming = false;        // wait for a frozen state instead of booting
  std::string empty_directory;  // becomes QEMU's root; "" when not root
};

std::vector<std::string> qemu_arguments(const MachineSpec& spec, const QemuLaunch& launch);
// Also what a guest sees in /proc/cmdline.
std::string kernel_command_line(const MachineSpec& spec, const QemuLaunch& launch);

// bad_request: a name, size or path the driver cannot carry.
Result<void> check_spec(const MachineSpec& spec);

}  // namespace nimbus::vm
