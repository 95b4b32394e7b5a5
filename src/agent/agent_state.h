// What an agent is made of, for its two parts: agent.cc (start, questions, slots) and recovery.cc
// (what an earlier life left). Private to the agent.
//
// Threads: the loop's.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/agent.h"
#include "agent/slot.h"
#include "os/lock_file.h"

namespace nimbus::agent {

struct Agent::State : std::enable_shared_from_this<State> {
  State(AgentParts p, AgentOptions o, ImageLookup i, os::LockFile l, std::unique_ptr<Journal> j,
        std::optional<DnsResolver> resolver)
      : parts(p),
        options(std::move(o)),
        images(std::move(i)),
        lock(std::move(l)),
        journal(std::move(j)),
        client(p.loop, net::ClientOptions{.ca_file = options.ca_file}),
        control(client, options.server, p.clock),
        budget(options.spool_bytes_max),
        execution_context{p.loop,   control,   *journal, budget, p.clock,
                          p.random, p.metrics, options,  {}},
        slot_context{execution_context, p.driver, p.places, images, std::move(resolver), false,
                     Duration(0),       {},       {},       {}},
        changed(p.loop) {}

  AgentParts parts;
  AgentOptions options;
  ImageLookup images;
  os::LockFile lock;
  std::unique_ptr<Journal> journal;
  net::Client client;
  ControlClient control;
  SpoolBudget budget;
  ExecutionContext execution_context;
  SlotContext slot_context;
  net::Notifier changed;
  AgentFacts facts;
  std::vector<std::unique_ptr<Slot>> slots;
  std::set<std::shared_ptr<Execution>> executions;  // until their report is accepted
  // The newest fence taken of each job. The server offers an assignment again until it has heard of
  // it; the second offer of the same fence is not a second job.
  std::map<model::JobId, model::Fence> taken;
  AgentStatus status;
  std::optional<Error> refused;  // by the server, for good
  bool accepted = false;         // the server has taken the credential, in this life
  bool enrolled_here = false;    // the credential was made in this life

  Task<Result<void>> run();
  Task<Result<void>> find_facts();
  Task<Result<void>> find_credential();
  Task<Result<Secret>> find_enrollment_token();
  Task<Result<void>> enroll();
  Task<bool> enroll_anew(Error refusal);
  Task<Result<void>> recover();
  Task<void> recover_execution(JournaledExecution row, std::set<int>& kept);
  Task<void> destroy_stray(int slot, std::string identity);
  Task<void> poll(std::shared_ptr<State> self);
  Task<void> give_back(std::shared_ptr<State> self, Assignment assignment);
  Task<void> run_slot(std::shared_ptr<State> self, Slot* slot, bool once);
  void take(std::vector<Assignment> assignments);
  void note_taken(ExecutionKey key);
  void hold(std::shared_ptr<Execution> execution);
  int count(bool (*is)(const Slot&)) const;
  void slots_changed();
  bool wants_warm() const;
};

}  // namespace nimbus::agent
