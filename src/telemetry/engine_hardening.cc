#include "telemetry/engine_hardening.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <initializer_list>

namespace nimbus::telemetry {
namespace {

constexpr uint64_t kReadAccess = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr uint64_t kAllAccess = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;

void allow_beneath(int rules, const char* path, uint64_t access) {
  landlock_path_beneath_attr rule{};
  rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
  if (rule.parent_fd < 0) return;
  rule.allowed_access = access;
  syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
  close(rule.parent_fd);
}

void confine_files(const EngineFiles& files) {
  landlock_ruleset_attr attributes{};
  attributes.handled_access_fs = kAllAccess;
  const long rules = syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0);
  if (rules < 0) return;
  const int fd = static_cast<int>(rules);
  allow_beneath(fd, files.directory.c_str(), kAllAccess);
  // The engine reads the symbols of every loaded object when it makes an exception, and dies of one
  // that it cannot open.
  for (const char* path : {"/usr/lib", "/lib", "/lib64", "/usr/local/lib"}) {
    allow_beneath(fd, path, kReadAccess);
  }
  for (const char* path : {"/proc/self/exe", files.library.c_str()}) {
    allow_beneath(fd, path, LANDLOCK_ACCESS_FS_READ_FILE);
  }
  allow_beneath(fd, files.socket_directory.c_str(),
                LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE);
  for (const char* path : {"/proc", "/sys", "/usr/share/zoneinfo"}) {
    allow_beneath(fd, path, kReadAccess);
  }
  for (const char* path : {"/etc/localtime", "/etc/timezone", "/dev/urandom"}) {
    allow_beneath(fd, path, LANDLOCK_ACCESS_FS_READ_FILE);
  }
  allow_beneath(fd, "/dev/null", LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE);
  syscall(SYS_landlock_restrict_self, fd, 0);
  close(fd);
}

void forbid_system_calls() {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  if (filter == nullptr) return;
  const uint32_t refuse = SCMP_ACT_ERRNO(EPERM);
  for (const int call : {SCMP_SYS(execve),
                         SCMP_SYS(execveat),
                         SCMP_SYS(ptrace),
                         SCMP_SYS(process_vm_readv),
                         SCMP_SYS(process_vm_writev),
                         SCMP_SYS(mount),
                         SCMP_SYS(umount2),
                         SCMP_SYS(pivot_root),
                         SCMP_SYS(chroot),
                         SCMP_SYS(setns),
                         SCMP_SYS(unshare),
                         SCMP_SYS(bpf),
                         SCMP_SYS(perf_event_open),
                         SCMP_SYS(keyctl),
                         SCMP_SYS(add_key),
                         SCMP_SYS(request_key),
                         SCMP_SYS(init_module),
                         SCMP_SYS(finit_module),
                         SCMP_SYS(kexec_load),
                         SCMP_SYS(reboot),
                         SCMP_SYS(swapon),
                         SCMP_SYS(io_uring_setup)}) {
    seccomp_rule_add(filter, refuse, call, 0);
  }
  const scmp_arg_cmp not_unix{0, SCMP_CMP_NE, AF_UNIX, 0};
  seccomp_rule_add_array(filter, refuse, SCMP_SYS(socket), 1, &not_unix);
  seccomp_load(filter);
  seccomp_release(filter);
}

}  // namespace

bool die_with_parent(int parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  return parent == 0 || getppid() == parent;
}

void give_up_privileges(const EngineFiles& files) {
  // Fails for an ordinary user, who then is kept from the network by the filter below alone.
  unshare(CLONE_NEWNET);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return;
  confine_files(files);
  forbid_system_calls();
}

}  // namespace nimbus::telemetry
