// The life of one job as its VM sees it: parked in the long poll, the job runs and its lines leave,
// its end is reported. Everything happens in one poll loop over the gateway's two connections, the
// job's two pipes and SIGCHLD, so nothing waits for anything but the slowest of them.
//
// Promises: lines leave in order and without gaps, a slow or absent gateway holds the job up
// instead of losing lines, and every wait has a bound.
//
// Threads: one; SIGCHLD is blocked and read from a descriptor. Not here: mounts, network and power
// (machine.h).
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "guest/accounts.h"
#include "guest/http.h"
#include "guest/job.h"

namespace nimbus::guest {

// What a job does to the machine around it; the real one is machine.h's, tests bring their own.
class Surroundings {
 public:
  virtual ~Surroundings() = default;
  // Clock and entropy, before anything else is done.
  virtual void set_clock(const GuestJob& job) = 0;
  // The machine's name, before any code of the job runs.
  virtual void set_name(const std::string& hostname) = 0;
  virtual Account find_account(const std::string& user) = 0;
  // Makes the folder, owned by `account`, when it is missing.
  virtual void make_workdir(const std::string& path, const Account& account) = 0;
  virtual void kill_everything(pid_t job) = 0;  // SIGKILL to all that the job has started
  virtual bool out_of_memory() = 0;             // a process of the job was killed for memory
  virtual bool disk_full() = 0;
};

struct SessionOptions {
  Address gateway;
  std::string cgroup;    // the job's cgroup directory, empty for none
  std::string greeting;  // the text of the log's first line
  bool drop_privileges = true;
  // Runs once, when the first question finds no job waiting: see rehearsal.h.
  std::function<void()> rehearse;
  std::chrono::milliseconds partial_after{200};  // an unfinished line is shown after that
  std::chrono::milliseconds leftover_grace{
      500};                                   // for background processes, once the job has ended
  std::chrono::seconds timeout_grace{2};      // between SIGTERM and SIGKILL at the deadline
  std::chrono::seconds report_time_max{600};  // for the gateway to take the last lines and the end
};

class Session {
 public:
  Session(SessionOptions options, Surroundings& surroundings);
  ~Session();

  // Parks, runs one job, reports its end. unavailable: the gateway did not take the report in time.
  Result<Outcome> run();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nimbus::guest
