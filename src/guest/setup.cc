// The steps from the initramfs to the image's root; see machine.h.
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/text.h"
#include "guest/files.h"
#include "guest/machine.h"

namespace nimbus::guest {
namespace {

constexpr int kDeviceWaitMilliseconds = 10'000;
constexpr const char* kNetmask = "255.255.255.252";

Result<void> mount_at(const char* source, const char* target, const char* type,
                      unsigned long flags = 0, const char* data = "") {
  (void)::mkdir(target, 0755);
  if (::mount(source, target, type, flags, data) == 0) return {};
  return fail(errno_error(std::string("mount ") + type + " on " + target, errno));
}

void mount_if_possible(const char* source, const char* target, const char* type,
                       unsigned long flags = 0, const char* data = "") {
  if (auto mounted = mount_at(source, target, type, flags, data); !mounted) {
    say(mounted.error().message);
  }
}

// The device of the virtio disk with this serial, "" when there is none (yet).
std::string find_disk(std::string_view serial) {
  std::string found;
  DIR* folder = ::opendir("/sys/block");
  if (folder == nullptr) return found;
  while (const dirent* entry = ::readdir(folder)) {
    const std::string name = entry->d_name;
    if (name.starts_with("vd") && trim(read_file("/sys/block/" + name + "/serial")) == serial) {
      found = "/dev/" + name;
    }
  }
  ::closedir(folder);
  return found;
}

Result<std::string> await_disk(std::string_view serial) {
  for (int waited = 0; waited < kDeviceWaitMilliseconds; waited += 10) {
    std::string device = find_disk(serial);
    if (!device.empty() && ::access(device.c_str(), F_OK) == 0) return device;
    (void)::poll(nullptr, 0, 10);
  }
  return fail(Code::unavailable, "no disk with serial '" + std::string(serial) + "'");
}

void set_address(ifreq& request, const char* ip) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  (void)::inet_pton(AF_INET, ip, &address.sin_addr);
  std::memcpy(&request.ifr_addr, &address, sizeof address);
}

Result<void> configure(int fd, unsigned long what, ifreq& request, const char* name) {
  if (::ioctl(fd, what, &request) == 0) return {};
  return fail(errno_error(std::string("set the ") + name + " of " + request.ifr_name, errno));
}

Result<void> bring_up(int fd, const char* interface) {
  ifreq request{};
  std::strncpy(request.ifr_name, interface, IFNAMSIZ - 1);
  TRY(configure(fd, SIOCGIFFLAGS, request, "flags"));
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP | IFF_RUNNING);
  return configure(fd, SIOCSIFFLAGS, request, "flags");
}

Result<void> configure_with(int fd) {
  if (auto lo = bring_up(fd, "lo"); !lo) say(lo.error().message);
  ifreq request{};
  std::strncpy(request.ifr_name, "eth0", IFNAMSIZ - 1);
  set_address(request, kGuestIp);
  TRY(configure(fd, SIOCSIFADDR, request, "address"));
  set_address(request, kNetmask);
  TRY(configure(fd, SIOCSIFNETMASK, request, "netmask"));
  TRY(bring_up(fd, "eth0"));
  rtentry route{};
  const auto fill = [](sockaddr& to, const char* ip) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    (void)::inet_pton(AF_INET, ip, &address.sin_addr);
    std::memcpy(&to, &address, sizeof address);
  };
  fill(route.rt_dst, "0.0.0.0");
  fill(route.rt_genmask, "0.0.0.0");
  fill(route.rt_gateway, kGatewayIp);
  route.rt_flags = RTF_UP | RTF_GATEWAY;
  if (::ioctl(fd, SIOCADDRT, &route) != 0) {
    return fail(errno_error("set the default route", errno));
  }
  return {};
}

// What programs expect below /dev that the kernel does not make by itself.
void link_standard_devices() {
  (void)!::symlink("/proc/self/fd", "/dev/fd");
  (void)!::symlink("/proc/self/fd/0", "/dev/stdin");
  (void)!::symlink("/proc/self/fd/1", "/dev/stdout");
  (void)!::symlink("/proc/self/fd/2", "/dev/stderr");
  mount_if_possible("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
                    "gid=5,mode=620,ptmxmode=666");
  mount_if_possible("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
}

}  // namespace

Result<void> mount_kernel_file_systems() {
  TRY(mount_at("proc", "/proc", "proc", MS_NOSUID | MS_NOEXEC | MS_NODEV));
  TRY(mount_at("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NOEXEC | MS_NODEV));
  if (auto dev = mount_at("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=755");
      !dev && errno != EBUSY) {
    return dev;
  }
  return {};
}

void load_modules() {
  const std::string list = read_file("/modules.list");
  for (const std::string_view line : split(list, '\n')) {
    if (trim(line).empty()) continue;
    const std::string path = "/modules/" + std::string(trim(line));
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    const bool loaded = fd >= 0 && (::syscall(SYS_finit_module, fd, "", 0) == 0 || errno == EEXIST);
    if (!loaded) say("cannot load " + path + ": " + std::strerror(errno));
    if (fd >= 0) ::close(fd);
  }
}

Result<void> configure_network() {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail(errno_error("socket", errno));
  auto configured = configure_with(fd);
  ::close(fd);
  return configured;
}

Result<void> enter_image() {
  const std::string image = TRY(await_disk("image"));
  const std::string scratch = TRY(await_disk("scratch"));
  TRY(mount_at(image.c_str(), "/image", "squashfs", MS_RDONLY));
  TRY(mount_at(scratch.c_str(), "/scratch", "ext4", MS_NOATIME));
  (void)::mkdir("/scratch/upper", 0755);
  (void)::mkdir("/scratch/work", 0755);
  TRY(mount_at("overlay", "/root", "overlay", MS_NOATIME,
               "lowerdir=/image,upperdir=/scratch/upper,workdir=/scratch/work"));
  for (const char* name : {"/proc", "/sys", "/dev"}) {
    const std::string target = std::string("/root") + name;
    (void)::mkdir(target.c_str(), 0755);
    if (::mount(name, target.c_str(), nullptr, MS_MOVE, nullptr) != 0) {
      return fail(errno_error("move " + target, errno));
    }
  }
  // An initramfs cannot be pivoted away; moving the mount over it does the same.
  if (::chdir("/root") != 0 || ::mount(".", "/", nullptr, MS_MOVE, nullptr) != 0 ||
      ::chroot(".") != 0 || ::chdir("/") != 0) {
    return fail(errno_error("enter the image", errno));
  }
  mount_if_possible("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755");
  mount_if_possible("cgroup2", "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NOEXEC | MS_NODEV);
  link_standard_devices();
  (void)::mkdir("/tmp", 0777);
  (void)::chmod("/tmp", 01777);
  return {};
}

void write_names() {
  (void)::mkdir("/etc", 0755);
  // Either may be a link to where nobody is at home; the image's own lines for hosts are kept.
  const std::string hosts = read_file("/etc/hosts");
  (void)::unlink("/etc/hosts");
  (void)::unlink("/etc/resolv.conf");
  std::string text = hosts.empty() ? "127.0.0.1 localhost\n::1 localhost\n" : hosts;
  if (!text.ends_with('\n')) text += '\n';
  (void)write_file("/etc/hosts", text + kGatewayIp + " gateway.nimbus\n");
  (void)write_file("/etc/resolv.conf", "nameserver " + std::string(kGatewayIp) + "\n");
}

}  // namespace nimbus::guest
