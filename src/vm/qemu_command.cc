#include "vm/qemu_command.h"

#include <fmt/core.h>

#include <algorithm>
#include <boost/json.hpp>
#include <set>
#include <string_view>

namespace nimbus::vm {

namespace json = boost::json;

namespace {

constexpr int kCpusMax = 64;
constexpr int kMemoryMbMin = 64;
constexpr int kMemoryMbMax = 1 << 20;
constexpr size_t kDisksMax = 8;
constexpr size_t kKernelArgumentsMax = 1024;  // the kernel keeps 2048 of the whole line
constexpr size_t kDirectoryMax = 80;          // a Unix socket's path ends at 107

bool is_plain(std::string_view text, size_t size_max, std::string_view also) {
  return !text.empty() && text.size() <= size_max &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                  also.find(c) != std::string_view::npos;
         });
}

// Files are named in JSON, where no character of a path has a meaning.
void add_disk(std::vector<std::string>& arguments, const Disk& disk, size_t index) {
  const auto node = fmt::format("disk{}", index);
  // The guest's flushes are dropped: these disks live as long as the machine.
  const json::object cache{{"no-flush", true}};
  const json::object block{{"driver", "raw"},
                           {"node-name", node},
                           {"read-only", disk.read_only},
                           {"discard", "unmap"},
                           {"cache", cache},
                           {"file", json::object{{"driver", "file"},
                                                 {"filename", disk.path},
                                                 {"read-only", disk.read_only},
                                                 {"discard", "unmap"},
                                                 {"cache", cache}}}};
  arguments.insert(arguments.end(),
                   {"-blockdev", json::serialize(block), "-device",
                    fmt::format("virtio-blk-device,drive={},serial={}", node, disk.serial)});
}

std::string machine_option(const QemuLaunch& launch) {
  // ACPI, because Debian's kernel finds virtio-mmio devices only there. No PIT and PIC: the guest
  // has the APIC, and the memory stays out of core dumps.
  std::string option = "microvm,acpi=on,pit=off,pic=off,rtc=on,dump-guest-core=off";
  if (!launch.memory_file.empty()) option += ",memory-backend=ram0";
  return option;
}

}  // namespace

std::string kernel_command_line(const MachineSpec& spec, const QemuLaunch& launch) {
  // panic=-1 resets at once, and a reset ends the machine. The rest spares an emulated boot what it
  // would only wait for; nothing here weakens the guest.
  std::string line =
      "console=ttyS0 quiet panic=-1 pci=off 8250.nr_uarts=1 cryptomgr.notests "
      "random.trust_cpu=on rcupdate.rcu_expedited=1";
  if (launch.accel == "tcg")
    line += fmt::format(" tsc_early_khz={} tsc=reliable no_timer_check", launch.tsc_khz);
  if (!spec.kernel_arguments.empty()) line += " " + spec.kernel_arguments;
  return line;
}

std::vector<std::string> qemu_arguments(const MachineSpec& spec, const QemuLaunch& launch) {
  std::vector<std::string> arguments = {launch.binary,
                                        "-name",
                                        spec.name,
                                        "-nodefaults",
                                        "-no-user-config",
                                        "-display",
                                        "none",
                                        "-no-reboot",
                                        "-M",
                                        machine_option(launch),
                                        "-accel",
                                        launch.accel,
                                        "-cpu",
                                        launch.accel == "kvm" ? "host" : "max",
                                        "-smp",
                                        fmt::format("{}", spec.cpus),
                                        "-m",
                                        fmt::format("{}M", spec.memory_mb),
                                        "-kernel",
                                        launch.kernel,
                                        "-append",
                                        kernel_command_line(spec, launch)};
  const auto add = [&](std::initializer_list<std::string> more) {
    arguments.insert(arguments.end(), more);
  };
  if (!spec.initramfs.empty()) add({"-initrd", spec.initramfs});
  if (!launch.memory_file.empty()) {
    const json::object memory{{"qom-type", "memory-backend-file"},
                              {"id", "ram0"},
                              {"size", int64_t{spec.memory_mb} << 20},
                              {"mem-path", launch.memory_file},
                              {"share", launch.memory_shared}};
    add({"-object", json::serialize(memory)});
  }
  const auto socket = [](std::string_view id, int fd) {
    return fmt::format("socket,id={},fd={},server=on,wait=on", id, fd);
  };
  add({"-chardev", socket("qmp", kQmpFd), "-mon", "chardev=qmp,mode=control", "-chardev",
       socket("console", kConsoleFd), "-serial", "chardev:console"});
  for (size_t i = 0; i < spec.disks.size(); ++i) add_disk(arguments, spec.disks[i], i);
  if (spec.network)
    add({"-netdev", fmt::format("tap,id=net0,fd={},vhost=off", kTapFd), "-device",
         "virtio-net-device,netdev=net0,mac=" + spec.network->guest_mac});
  add({"-device", "virtio-rng-device"});
  if (launch.incoming) add({"-incoming", "defer"});
  // No exec, no scheduling tricks, no old calls. Changing the user must stay possible until it is
  // done; afterwards there is no privilege left to raise, and no_new_privs forbids to find one.
  add({"-sandbox", "on,obsolete=deny,elevateprivileges=allow,spawn=deny,resourcecontrol=deny"});
  if (!launch.empty_directory.empty()) add({"-chroot", launch.empty_directory});
  if (spec.uid != 0) add({"-runas", fmt::format("{}:{}", spec.uid, spec.gid)});
  return arguments;
}

Result<void> check_spec(const MachineSpec& spec) {
  const auto refuse = [&](std::string_view why) {
    return fail(Code::bad_request, fmt::format("machine {:.60}: {}", spec.name, why));
  };
  if (!is_plain(spec.name, 40, "-")) return refuse("a name is 1 to 40 of a-z, 0-9 and -");
  if (spec.directory.empty() || spec.directory[0] != '/' || spec.directory.size() > kDirectoryMax)
    return refuse(
        fmt::format("its directory is an absolute path of at most {} bytes", kDirectoryMax));
  if (spec.cpus < 1 || spec.cpus > kCpusMax) return refuse(fmt::format("1 to {} cpus", kCpusMax));
  if (spec.memory_mb < kMemoryMbMin || spec.memory_mb > kMemoryMbMax)
    return refuse(fmt::format("{} to {} MB of memory", kMemoryMbMin, kMemoryMbMax));
  if (spec.kernel_arguments.size() > kKernelArgumentsMax)
    return refuse(fmt::format("kernel arguments of at most {} bytes", kKernelArgumentsMax));
  if (spec.disks.size() > kDisksMax) return refuse(fmt::format("at most {} disks", kDisksMax));
  std::set<std::string_view> serials;
  for (const auto& disk : spec.disks)
    if (!is_plain(disk.serial, 20, "-") || !serials.insert(disk.serial).second)
      return refuse("disk serials are 1 to 20 of a-z, 0-9 and -, each once");
  if (spec.network && !is_plain(spec.network->guest_mac, 17, ":"))
    return refuse("a MAC address is lower-case hexadecimal pairs");
  if ((spec.uid == 0) != (spec.gid == 0)) return refuse("user and group are set together");
  return {};
}

}  // namespace nimbus::vm
