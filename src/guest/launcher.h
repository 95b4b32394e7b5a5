// The process that becomes the job. It is forked before there is a job, already inside the image's
// root, in its own session and cgroup, and waits for its orders: when the job arrives all that is
// left is to drop to the job's user and execve, which even a slow CPU does in a moment.
//
// Threads: one. Not here: when to start or stop it (session.h).
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "guest/accounts.h"

namespace nimbus::guest {

// Everything that the new program starts with.
struct Launch {
  std::vector<std::string> command;  // looked up in env's PATH when it has no slash
  std::map<std::string, std::string> env;
  std::string workdir;
  bool drop_privileges = true;  // false in tests: stay who we are
  Account account;
};

class Launcher {
 public:
  // Forks the waiting process, made a member of `cgroup` (its directory) unless that is empty.
  static Result<Launcher> prepare(const std::string& cgroup);
  Launcher(Launcher&& other) noexcept;
  Launcher& operator=(Launcher&&) = delete;
  ~Launcher();  // ends a process that never got orders

  // Gives the orders. The process may already be gone (unavailable).
  Result<void> start(const Launch& launch);
  // After `start`: 0 once the program runs, the errno of what kept it from running otherwise.
  // Blocks until one of both is certain; nothing but execve of the job lies in between.
  int await_start();

  pid_t pid() const { return pid_; }
  // Read ends of the job's standard output and error, non-blocking.
  int output_fd() const { return output_fd_; }
  int error_fd() const { return error_fd_; }

 private:
  Launcher() = default;
  pid_t pid_ = -1;
  int orders_fd_ = -1;
  int status_fd_ = -1;
  int output_fd_ = -1;
  int error_fd_ = -1;
  bool started_ = false;
};

}  // namespace nimbus::guest
