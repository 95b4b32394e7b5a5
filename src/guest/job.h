// What the gateway asks of the guest, and how an ended job is named. Pure functions over bytes and
// values.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/job.h"

namespace nimbus::guest {

struct GuestJob {
  int64_t job = 0;
  int64_t fence = 0;
  std::vector<std::string> command;
  std::map<std::string, std::string> env;
  std::string user;
  std::string workdir;
  std::chrono::seconds timeout{0};
  std::string hostname;
  int64_t time_ns = 0;  // the wall clock to set; 0: leave it
  std::string entropy;  // fresh bytes for the kernel's pool; may be empty
};

// bad_request: the answer is not a job.
Result<GuestJob> parse_job(std::string_view body);

struct Cancel {
  std::chrono::seconds grace{5};  // between SIGTERM and SIGKILL
};
// nullopt: a signal this guest does not know. bad_request: not a signal.
Result<std::optional<Cancel>> parse_signal(std::string_view body);

// The acknowledged sequence number of a lines answer.
Result<int64_t> parse_acked(std::string_view body);

// How the job's first process ended and what was seen on the way.
struct Ending {
  int wait_status = 0;     // as of waitpid
  bool cancelled = false;  // told to stop while it ran
  bool timed_out = false;  // stopped at its deadline
  std::chrono::seconds timeout{0};
  bool out_of_memory = false;  // the kernel killed a process of it
  bool disk_full = false;      // its file system had no space left
};

struct Outcome {
  model::JobResult result = model::JobResult::failed;
  std::optional<int> exit_code;  // none when a signal ended it
  std::string reason;            // empty when it succeeded
};

// A stop asked for from outside beats what the job made of it; then a kernel's reason beats the
// exit status that it caused.
Outcome classify(const Ending& ending);

// The body of the `finished` report; `age`: since the job ended.
std::string finished_body(const Outcome& outcome, int64_t last_seq, std::chrono::milliseconds age);

// "SIGKILL" for 9; "signal 34" where there is no name.
std::string signal_name(int number);

}  // namespace nimbus::guest
