// The agent's memory across its own death: every step of an execution is written here before it is
// taken, and every report before it is sent. After a restart it says which VM belongs to which job,
// and what the server has not been told yet. It outlives the process, not the machine's power: no
// VM outlives that either, and a commit that waits for no disk lets a job start at once.
//
// Threads: the loop's (Tasks); `open` and `read` block and are for start-up.
// Not here: log lines (spool.h), the state of what runs (execution.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "base/time.h"
#include "db/database.h"
#include "model/ids.h"

namespace nimbus::agent {

struct ExecutionKey {
  model::JobId job;
  model::Fence fence;
  auto operator<=>(const ExecutionKey&) const = default;
};

struct JournaledEvent {
  int64_t seq = 0;
  std::string body;  // as sent
};

struct JournaledExecution {
  ExecutionKey key;
  int slot = -1;
  std::string assignment;  // as received, without its token
  Time lease_expires_at;
  std::optional<Time> alive_at;        // when its VM was last known to run
  std::string machine;                 // vm::MachineIdentity as JSON; empty: not booted yet
  bool started = false;                // the guest has said so
  int64_t log_seq = 0;                 // about the last line that was forwarded
  std::vector<JournaledEvent> events;  // not accepted yet, in order
  int64_t event_seq = 0;               // the last one used
  bool ended = false;                  // its last event is written; no VM belongs to it any more
};

class Journal {
 public:
  static Result<std::unique_ptr<Journal>> open(const std::string& path, Time now);

  // Blocks.
  Result<std::vector<JournaledExecution>> read();
  // Machines that were booted and not destroyed, whosever they are: slot and identity.
  Result<std::vector<std::pair<int, std::string>>> read_machines();

  Task<Result<void>> begin(JournaledExecution execution);
  Task<Result<void>> set_machine(int slot, std::string identity);
  Task<Result<void>> forget_machine(int slot);
  Task<Result<void>> set_started(ExecutionKey key);
  Task<Result<void>> add_event(ExecutionKey key, JournaledEvent event, bool last);
  Task<Result<void>> event_accepted(ExecutionKey key, int64_t seq);
  Task<Result<void>> end(ExecutionKey key);
  // Not waited for: after a crash they may be a little old.
  // Both tell that the VM ran just now.
  void note_lease(ExecutionKey key, Time expires_at, Time now);
  void note_log_seq(ExecutionKey key, int64_t seq, Time now);

 private:
  explicit Journal(std::unique_ptr<db::Database> database) : database_(std::move(database)) {}
  Task<Result<void>> run(db::Work work);
  std::unique_ptr<db::Database> database_;
};

}  // namespace nimbus::agent
