#include "vm/snapshot_files.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>

#include "base/json.h"
#include "os/atomic_file.h"
#include "os/process.h"
#include "os/unique_fd.h"
#include "vm/kernel_image.h"

namespace nimbus::vm {

namespace json = boost::json;

namespace {

constexpr size_t kManifestBytesMax = 64 << 10;

std::string manifest_file(const std::string& directory) { return directory + "/manifest.json"; }

// What a disk must have in common: a writable one its size, a read-only one its content, for which
// size and time of change stand; its path may be another.
Result<std::string> disk_identity(const Disk& disk) {
  const auto identity = TRY(file_identity(disk.path)).substr(disk.path.size() + 1);
  return disk.read_only ? identity : identity.substr(0, identity.find(':'));
}

}  // namespace

std::string memory_file(const std::string& directory) { return directory + "/memory"; }
std::string state_file(const std::string& directory) { return directory + "/state"; }

Result<std::string> snapshot_key(const MachineSpec& spec, const QemuLaunch& launch,
                                 const std::string& version) {
  json::array disks;
  for (const auto& disk : spec.disks)
    disks.push_back(json::object{{"serial", disk.serial},
                                 {"read_only", disk.read_only},
                                 {"file", TRY(disk_identity(disk))}});
  // The boot's id stands for processor, kernel and clock rate; the memory file is not flushed, so
  // after a power cut it is worth nothing anyway.
  return json::serialize(
      json::object{{"boot", os::read_boot_id()},
                   {"version", version},
                   {"accel", launch.accel},
                   {"kernel", TRY(file_identity(launch.kernel))},
                   {"initramfs", spec.initramfs.empty() ? "" : TRY(file_identity(spec.initramfs))},
                   {"command_line", kernel_command_line(spec, launch)},
                   {"cpus", spec.cpus},
                   {"memory_mb", spec.memory_mb},
                   {"disks", std::move(disks)},
                   {"mac", spec.network ? spec.network->guest_mac : ""}});
}

Result<void> begin_snapshot(const MachineSpec& spec) {
  const auto& directory = spec.snapshot_directory;
  // Files are replaced, never written over: copies of an older snapshot may still be running on it.
  for (const auto& path : {manifest_file(directory), memory_file(directory), state_file(directory)})
    if (::unlink(path.c_str()) != 0 && errno != ENOENT)
      return fail(errno_error("removing " + path, errno));
  const auto path = memory_file(directory);
  const os::UniqueFd fd(
      ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd || ::ftruncate(fd.get(), off_t{spec.memory_mb} << 20) != 0)
    return fail(errno_error("making " + path, errno));
  return {};
}

Result<void> finish_snapshot(const std::string& directory, const std::string& key) {
  return os::write_file_atomically(manifest_file(directory),
                                   json::serialize(json::object{{"key", key}}));
}

Result<void> check_snapshot(const std::string& directory, const std::string& key) {
  const auto text = os::read_file(manifest_file(directory), kManifestBytesMax);
  if (!text) return fail(Code::conflict, directory + " holds no snapshot");
  const auto object = parse_json_object(*text);
  if (!object || read_text(*object, "key").value_or("") != key)
    return fail(Code::conflict, directory + " holds a snapshot of another machine or host",
                "make a new one");
  return {};
}

}  // namespace nimbus::vm
