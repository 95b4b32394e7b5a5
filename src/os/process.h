// Child processes, and processes left by an earlier life of this program. A process is known by
// pid, start time and boot, never by pid or name alone, and signals go through a pidfd: a pid that
// the kernel has given to somebody else is never hit.
//
// A child starts with exactly the descriptors, environment and namespace it is given, without a
// shell. Dropping a Process leaves it running: what must end is killed by whoever owns it.
//
// Threads: `spawn`, `adopt` and the plain calls any; the Tasks on their caller's loop.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "base/time.h"

namespace nimbus::os {

struct ProcessIdentity {
  pid_t pid = 0;
  uint64_t start_ticks = 0;  // field 22 of /proc/PID/stat: clock ticks since boot
  std::string boot_id;       // of /proc/sys/kernel/random/boot_id

  bool operator==(const ProcessIdentity&) const = default;
};

std::string to_text(const ProcessIdentity& identity);  // "PID:TICKS:BOOT", for a journal
// bad_request: not that form.
Result<ProcessIdentity> parse_process_identity(std::string_view text);
// not_found: no such process (a zombie counts as gone for `is_alive`, not here).
Result<ProcessIdentity> read_process_identity(pid_t pid);
bool is_alive(const ProcessIdentity& identity);
// This boot's id, "" when the kernel does not tell.
std::string read_boot_id();

struct SpawnOptions {
  std::vector<std::string> argv;         // argv[0] is the program's path; PATH is not searched
  std::vector<std::string> environment;  // "K=V", complete: nothing is inherited
  std::string directory = "/";
  // {descriptor here, number in the child}. 0, 1 and 2 are /dev/null unless given; all else closes.
  std::vector<std::pair<int, int>> fds;
  std::string network_namespace;          // path of a handle to join, "" for this one
  std::vector<std::string> cgroup_procs;  // cgroup.procs files the child enters before it runs
  std::optional<std::pair<uid_t, gid_t>> user;  // supplementary groups are dropped too
  bool die_with_parent = false;                 // SIGKILL when the spawning thread ends
  bool no_new_privileges = true;
};

struct ProcessExit {
  std::optional<int> code;    // exited
  std::optional<int> signal;  // killed; neither: an adopted process, whose status nobody can read
};
std::string to_text(const ProcessExit& exit);  // "exit code 1", "signal 9 (SIGKILL)", "ended"

class Process {
 public:
  // not_found: no such program; internal: the system refused, the message names the step.
  static Result<Process> spawn(const SpawnOptions& options);
  // not_found: it has ended, or its pid belongs to another process now.
  static Result<Process> adopt(const ProcessIdentity& identity);

  Process(Process&&) noexcept;
  Process& operator=(Process&&) noexcept;
  ~Process();

  const ProcessIdentity& identity() const;
  pid_t pid() const;

  // Nothing happens when the process has ended.
  void signal(int number);
  void kill();

  // Its exit when it has ended; reaps a child.
  std::optional<ProcessExit> find_exit();
  // Nothing, when the time is over or `cancel_waits` was called.
  Task<std::optional<ProcessExit>> wait_exit(Duration timeout);
  Task<ProcessExit> wait_exit();  // waits for as long as it takes, whatever is cancelled
  void cancel_waits();
  // Blocks this thread; for programs without a loop, and threads that may block.
  std::optional<ProcessExit> wait_exit_blocking(Duration timeout);

 private:
  struct State;
  std::shared_ptr<State> state_;
  explicit Process(std::shared_ptr<State> state);
  static Task<std::optional<ProcessExit>> wait_for_exit(std::shared_ptr<State> state,
                                                        Duration timeout);
};

}  // namespace nimbus::os
