// The virtual machine around a job, set up by PID 1: kernel modules, disks, network, the image's
// root. Each step that the job cannot do without fails with what was attempted; the rest are said
// on the console and passed over.
//
// Disks are known by their virtio serial: `image` (squashfs, read-only) and `scratch` (ext4, takes
// all writes). Threads: one.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "guest/accounts.h"
#include "guest/session.h"

namespace nimbus::guest {

constexpr const char* kGatewayIp = "169.254.169.254";
constexpr const char* kGuestIp = "169.254.169.253";

// A line on the console, which ends up in the VM's console log on the host.
void say(const std::string& text);

// The kernel's command line as name → value ("" without one).
std::map<std::string, std::string> read_command_line();
// "nimbus-guest 0.1.0 on Linux 6.1.0 x86_64, 2 cpus, 1960 MiB".
std::string describe_machine();

// /proc, /sys, /dev, the modules of /modules.list.
Result<void> mount_kernel_file_systems();
void load_modules();
// eth0 up with the guest's fixed address and the gateway as default route.
Result<void> configure_network();
// Mounts image and scratch, overlays them, and makes that the root of this process.
Result<void> enter_image();
// Names in the image's /etc: the gateway, which is also the resolver.
void write_names();
// The job's cgroup directory, or "" when the kernel has none; leaves memory for this process.
std::string make_job_cgroup();
[[noreturn]] void power_off(bool by_reset);

class MachineSurroundings final : public Surroundings {
 public:
  explicit MachineSurroundings(std::string cgroup);
  void set_clock(const GuestJob& job) override;
  void set_name(const std::string& hostname) override;
  Account find_account(const std::string& user) override;
  void make_workdir(const std::string& path, const Account& account) override;
  void kill_everything(pid_t job) override;
  bool out_of_memory() override;
  bool disk_full() override;

 private:
  std::string cgroup_;
  Account usual_;  // read from the image once
};

}  // namespace nimbus::guest
