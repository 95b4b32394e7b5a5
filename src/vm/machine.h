// The seam between Nimbus and a virtual machine monitor: boot this, stop that. A Driver starts
// machines, a Machine is one running (or ended) one. Neither knows a job, an org or a lease.
//
// A machine belongs to the host, not to this process: dropping a Machine leaves it running, and
// `adopt` finds it again by its identity after a restart. Only `destroy` ends it.
//
// One machine is one use: it is booted or restored once, and destroyed; it never restarts inside.
//
// Threads: all calls on the loop; blocking parts go to threads made for that.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "base/time.h"

namespace nimbus::vm {

constexpr size_t kConsoleBytesMax = size_t{1} << 20;

struct Disk {
  std::string serial;  // how the guest finds it: [a-z0-9]{1,20}
  std::string path;    // raw image; a writable one belongs to this machine alone
  bool read_only = false;
};

struct Network {
  std::string namespace_path;  // the monitor runs inside it
  std::string tap_name;        // exists there
  std::string guest_mac;
};

struct MachineSpec {
  std::string name;       // unique on this host: [a-z0-9-]{1,40}
  std::string directory;  // this machine's own (sockets, console); exists, path under 80 bytes
  std::string kernel;     // bzImage or ELF vmlinux
  std::string initramfs;
  std::string kernel_arguments;  // the guest's own, after the driver's
  int cpus = 1;
  int memory_mb = 512;
  std::vector<Disk> disks;
  std::optional<Network> network;
  std::string cgroup;  // os::Cgroup name, exists; "" for none
  // The monitor runs as this user once it has opened what it needs; 0: as the caller.
  uid_t uid = 0;
  gid_t gid = 0;
  // When set, the machine is booted to be frozen: `snapshot` writes there. The directory exists,
  // on a file system with room for the guest's memory.
  std::string snapshot_directory;
};

// What a journal keeps to find a machine again.
struct MachineIdentity {
  std::string driver;  // "qemu"
  std::string name;
  std::string directory;
  std::string process;  // os::ProcessIdentity as text
  std::string cgroup;

  bool operator==(const MachineIdentity&) const = default;
};
std::string to_json(const MachineIdentity& identity);
Result<MachineIdentity> parse_machine_identity(std::string_view json);

struct Capabilities {
  std::string vmm;      // "qemu", "firecracker", "fake"
  std::string version;  // "7.2.22"
  std::string accel;    // "kvm" or "tcg"
  bool snapshots = false;
  std::string detail;  // why not KVM, for instance
};

struct Exit {
  enum class Kind {
    powered_off,  // the guest ended by itself, in order
    crashed,      // the guest reset: a kernel panic, or a reboot it is not allowed
    killed,       // the monitor was killed: destroy, the kernel's OOM killer, an operator
    failed,       // the monitor gave up: could not start, or an internal error
    unknown,      // ended while nobody watched
  };
  Kind kind = Kind::unknown;
  std::string detail;  // "signal 9 (SIGKILL)", the monitor's last words
};
std::string_view to_string(Exit::Kind kind);

struct MachineStats {
  Duration cpu_time{};        // of the monitor: guest and devices
  uint64_t memory_bytes = 0;  // resident, of the monitor
};

class Machine {
 public:
  virtual ~Machine() = default;

  virtual const MachineIdentity& identity() const = 0;

  // Both are idempotent. unavailable: the machine has ended or its monitor does not answer.
  virtual Task<Result<void>> pause() = 0;
  virtual Task<Result<void>> resume() = 0;
  // Pauses the machine and writes its memory and state to the spec's snapshot_directory. Afterwards
  // the machine may only be destroyed: its memory is the snapshot's now. bad_request: it was not
  // booted with a snapshot_directory.
  virtual Task<Result<void>> snapshot() = 0;

  // Returns when the machine has ended; any number of waiters, also after the end.
  virtual Task<Exit> wait_exit() = 0;
  virtual Task<std::optional<Exit>> wait_exit(Duration timeout) = 0;
  // unavailable: it has ended.
  virtual Task<Result<MachineStats>> stats() = 0;
  // The last bytes the guest wrote to its console, at most kConsoleBytesMax of them kept; also
  // after the end, and after `adopt`.
  virtual std::string console_tail(size_t bytes_max) const = 0;

  // Kills the monitor, waits until it is gone and removes its files from the machine's directory.
  // Idempotent; never fails for a machine that has ended. Disks and network stay the caller's.
  virtual Task<Result<void>> destroy() = 0;
};

class Driver {
 public:
  virtual ~Driver() = default;

  // What works here, found by trying: a device file that opens proves nothing, so the first call on
  // a machine boots a probe guest (seconds); later ones use the remembered answer.
  // unavailable: no machine can be started, the hint says what to do.
  virtual Task<Result<Capabilities>> preflight(std::string kernel) = 0;

  // Returns when the guest's CPUs run, not when the guest is ready. unavailable: the monitor could
  // not start, the message carries its last words; nothing is left behind.
  virtual Task<Result<std::unique_ptr<Machine>>> boot(MachineSpec spec) = 0;
  // Starts a copy of a frozen machine and lets it run; its memory is shared copy-on-write with
  // other copies. The spec has the same size and kinds of devices; names, files and namespace are
  // its own. The guest's clock and random numbers are the snapshot's: renew them before anything
  // else. conflict: the snapshot is of another monitor, kernel, processor or size: make a new one.
  virtual Task<Result<std::unique_ptr<Machine>>> restore(MachineSpec spec,
                                                         std::string snapshot_directory) = 0;
  // not_found: it is no longer running; its leftovers are removed.
  virtual Task<Result<std::unique_ptr<Machine>>> adopt(MachineIdentity identity) = 0;
};

}  // namespace nimbus::vm
