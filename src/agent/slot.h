// One slot's life: made, perhaps with a VM booted ahead, given a job, emptied, made again. Private
// to the agent.
//
// Threads: the loop's.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "agent/dns_forwarder.h"
#include "agent/execution.h"
#include "agent/gateway.h"
#include "agent/places.h"
#include "net/loop.h"
#include "vm/machine.h"

namespace nimbus::agent {

// What slots share with the agent that owns them.
struct SlotContext {
  ExecutionContext& execution;
  vm::Driver& driver;
  Places& places;
  const ImageLookup& images;
  std::optional<DnsResolver> resolver;  // none: guests have no names
  bool stopping = false;
  Duration stop_at{0};               // steady; for jobs that run when stopping
  std::function<bool()> wants_warm;  // one more slot should keep a VM ready
  std::function<void()> on_change;   // a slot became free, busy, warm or cold
  std::function<void(std::shared_ptr<Execution>)> on_execution;
};

class Slot {
 public:
  enum class State { making, idle, busy, gone };

  Slot(SlotContext& context, int index);
  ~Slot();

  int index() const { return index_; }
  State state() const { return state_; }
  bool free() const { return state_ == State::idle && !assigned_; }
  // Given to this slot and not an execution yet.
  std::optional<ExecutionKey> pending() const {
    return assigned_ ? std::optional(assigned_->key) : std::nullopt;
  }
  bool warming() const { return shape_.has_value() && state_ != State::busy; }
  bool warm() const;
  // How well it suits: 3 a VM waits that fits, 2 one that fits is booting, 1 an empty slot, 0 a VM
  // that does not fit; -1: not free.
  int fit(const model::JobSpec& spec) const;
  // Only when free.
  void assign(Assignment assignment);
  void wake() { changed_.notify_all(); }

  // Runs until the agent stops or, for a slot past the configured number, its job has ended.
  Task<void> run(bool once);
  // Before `run`: a job and its VM that outlived the last agent.
  void adopt(std::shared_ptr<Execution> execution, std::shared_ptr<vm::Machine> machine,
             ImageRoot image);

 private:
  Task<Result<void>> make_place();
  Task<void> wait_for_work();
  // Whose credential pulls an image that is not here: a job's, or the agent's own.
  struct Puller {
    std::string org;
    Secret token;
  };
  Task<Result<void>> find_image(std::string name, Puller puller);
  Task<Result<ImageRoot>> look_up(const std::string& name);
  Task<Result<ImageRoot>> pull_image(const std::string& name, Puller puller);
  Task<Result<void>> boot(WarmShape shape);
  Task<Result<void>> open_gateway();
  Task<void> time_boot();
  Task<void> warm_up();
  Task<void> watch_warm(std::shared_ptr<vm::Machine> machine);
  Task<void> run_assigned();
  Task<void> run_adopted();
  Task<void> finish(std::shared_ptr<Execution> execution, Verdict verdict);
  Task<void> tear_down();
  void set_state(State state);

  SlotContext& context_;
  int index_;
  State state_ = State::making;
  net::Notifier changed_;
  Place place_;
  std::optional<WarmShape> shape_;  // of the VM that is here or being booted
  ImageRoot image_;
  std::shared_ptr<vm::Machine> machine_;
  bool machine_ended_ = false;
  std::unique_ptr<Gateway> gateway_;
  std::unique_ptr<DnsForwarder> names_;
  std::optional<Assignment> assigned_;
  std::shared_ptr<Execution> adopted_;
  Duration warm_again_at_{0};
  int machines_ = 0;  // counts, so that no two VMs of this slot share a name
};

}  // namespace nimbus::agent
