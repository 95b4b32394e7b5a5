// The agent of one host: enrols, asks the server for jobs, and runs each in a microVM of its own,
// in one of its slots. Some slots keep a VM booted ahead, parked in its guest's long poll; a job
// that fits is one answer away from running. A VM is used once, then it and all of its slot are
// removed.
//
// After a crash VMs that still run and whose lease still renews are taken up again; everything else
// that an earlier life left is ended, removed and truthfully reported.
//
// Threads: the loop's. One agent per directory (a lock file sees to it).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/execution.h"
#include "agent/options.h"
#include "agent/places.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/random.h"
#include "net/loop.h"
#include "vm/machine.h"

namespace nimbus::agent {

// What an agent is built from; all outlive it.
struct AgentParts {
  net::Loop& loop;
  vm::Driver& driver;
  Places& places;
  const Clock& clock;
  Random& random;
  Metrics& metrics;
};

struct AgentStatus {
  bool connected = false;  // the last question was answered
  std::string detail;      // what it does, or why it is not connected
  int slots = 0;
  int slots_free = 0;
  int warm = 0;  // VMs that wait, parked
  int busy = 0;
};

class Agent {
 public:
  // Takes the directory (conflict: another agent has it) and opens the journal. Blocks.
  static Result<std::unique_ptr<Agent>> open(AgentParts parts, AgentOptions options,
                                             ImageLookup images);
  ~Agent();

  // Until `stop` has taken effect. unauthenticated: there is no credential that the server takes,
  // and no enrolment token for another one; forbidden: an operator revoked this agent while it
  // ran; unavailable: no VM can be started here.
  Task<Result<void>> run();
  // Takes no new jobs; those that run may end within `patience`, then they are ended. VMs that wait
  // are removed at once. Idempotent.
  void stop(Duration patience);

  AgentStatus status() const;

  struct State;

 private:
  explicit Agent(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace nimbus::agent
