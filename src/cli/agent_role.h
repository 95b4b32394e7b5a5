// The agent role put together: driver, slots, image store, agent.
//
// Threads: made before the loop runs (blocking); the rest the loop's.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "agent/agent.h"
#include "base/metrics.h"
#include "cli/config.h"
#include "cli/installation.h"
#include "image/store.h"
#include "net/loop.h"

namespace nimbus::cli {

struct AgentRoleOptions {
  const Config& config;
  const Installation& installation;
  std::string directory;  // the agent's own
  std::string server;
  Secret enrollment_token;
  std::function<Result<Secret>()> issue_enrollment_token = {};  // see agent/options.h
};

class AgentRole {
 public:
  // unavailable, forbidden: this host cannot run microVMs; the hint says what is missing.
  static Result<std::unique_ptr<AgentRole>> start(net::Loop& loop, Metrics& metrics,
                                                  const AgentRoleOptions& options);
  // Takes no new jobs and ends those that run after `patience`.
  void stop(Duration patience) { agent_->stop(patience); }
  bool stopped() const { return stopped_; }
  // What the role says of itself: detail for people, whether it takes jobs.
  agent::AgentStatus status() const { return agent_->status(); }
  const std::string& failure() const { return failure_; }

 private:
  AgentRole() = default;
  Task<void> run();

  std::unique_ptr<image::Store> images_;
  std::unique_ptr<vm::Driver> driver_;
  std::unique_ptr<agent::Places> places_;
  std::unique_ptr<agent::Agent> agent_;
  bool stopped_ = false;
  std::string failure_;  // why it gave up, "" while it runs
};

}  // namespace nimbus::cli
