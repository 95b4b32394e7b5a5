// A frozen machine on disk: a directory with `memory`, `state` and, written last, `manifest.json`,
// which says what the machine was. Without a manifest there is no snapshot.
//
// Threads: any; calls block.
#pragma once

#include <string>

#include "base/result.h"
#include "vm/machine.h"
#include "vm/qemu_command.h"

namespace nimbus::vm {

std::string memory_file(const std::string& snapshot_directory);
std::string state_file(const std::string& snapshot_directory);

// Whatever a wakened machine must have in common with the frozen one, as text.
Result<std::string> snapshot_key(const MachineSpec& spec, const QemuLaunch& launch,
                                 const std::string& version);
// Removes an old snapshot and makes an empty memory file of the machine's size.
Result<void> begin_snapshot(const MachineSpec& spec);
Result<void> finish_snapshot(const std::string& directory, const std::string& key);
// conflict: it was taken under another key, or there is none.
Result<void> check_snapshot(const std::string& directory, const std::string& key);

}  // namespace nimbus::vm
