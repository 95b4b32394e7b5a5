#include "vm/fake_vm.h"

#include <fmt/core.h>

namespace nimbus::vm {

// What the agent holds: a view on a machine of the fake host.
class FakeHandle final : public Machine {
 public:
  FakeHandle(std::shared_ptr<FakeMachine> machine, std::function<void(FakeMachine&)> on_destroy)
      : machine_(std::move(machine)), on_destroy_(std::move(on_destroy)) {}

  const MachineIdentity& identity() const override { return machine_->identity_; }

  Task<Result<void>> pause() override { co_return set_state(FakeMachine::State::paused); }
  Task<Result<void>> resume() override { co_return set_state(FakeMachine::State::running); }

  Task<Result<void>> snapshot() override {
    if (machine_->spec.snapshot_directory.empty())
      co_return fail(Code::bad_request, "the machine was not booted to be frozen");
    CO_TRY(set_state(FakeMachine::State::paused));
    machine_->snapshot_taken = true;
    co_return Result<void>();
  }

  Task<Exit> wait_exit() override {
    const auto machine = machine_;
    if (machine->state != FakeMachine::State::ended) {
      std::function<void(std::function<void()>)> start = [machine](std::function<void()> done) {
        machine->waiters_.push_back(std::move(done));
      };
      co_await await_callback(std::move(start));
    }
    co_return machine->exit;
  }

  // Without a clock of its own the fake does not wait: the exit now, or none.
  Task<std::optional<Exit>> wait_exit(Duration) override {
    if (machine_->state != FakeMachine::State::ended) co_return std::nullopt;
    co_return machine_->exit;
  }

  Task<Result<MachineStats>> stats() override {
    if (machine_->state == FakeMachine::State::ended)
      co_return fail(Code::unavailable, "the machine has ended");
    MachineStats stats;
    stats.memory_bytes = static_cast<uint64_t>(machine_->spec.memory_mb) << 20;
    co_return stats;
  }

  std::string console_tail(size_t bytes_max) const override {
    const auto& text = machine_->console();
    return text.size() <= bytes_max ? text : text.substr(text.size() - bytes_max);
  }

  Task<Result<void>> destroy() override {
    machine_->end({Exit::Kind::killed, "signal 9 (SIGKILL)"});
    if (!machine_->destroyed && on_destroy_) on_destroy_(*machine_);
    machine_->destroyed = true;
    co_return Result<void>();
  }

 private:
  Result<void> set_state(FakeMachine::State state) {
    if (machine_->state == FakeMachine::State::ended)
      return fail(Code::unavailable, "the machine has ended");
    machine_->state = state;
    return {};
  }

  std::shared_ptr<FakeMachine> machine_;
  std::function<void(FakeMachine&)> on_destroy_;
};

void FakeMachine::write_console(std::string_view text) {
  console_ += text;
  if (console_.size() > kConsoleBytesMax) console_.erase(0, console_.size() - kConsoleBytesMax);
}

void FakeMachine::end(Exit how) {
  if (state == State::ended) return;
  state = State::ended;
  exit = std::move(how);
  for (auto& done : std::exchange(waiters_, {})) done();
}

FakeDriver::FakeDriver(std::shared_ptr<FakeHost> host) : host_(std::move(host)) {}

Task<Result<Capabilities>> FakeDriver::preflight(std::string) { co_return capabilities; }

Result<std::unique_ptr<Machine>> FakeDriver::start(MachineSpec spec, std::string restored_from) {
  if (!boot_failures.empty()) {
    Error error = std::move(boot_failures.front());
    boot_failures.pop_front();
    return fail(std::move(error));
  }
  const auto existing = find(spec.name);
  if (existing && existing->state != FakeMachine::State::ended)
    return fail(Code::conflict, fmt::format("machine {} is running already", spec.name));
  auto machine = std::make_shared<FakeMachine>();
  machine->identity_ = {"fake", spec.name, spec.directory,
                        fmt::format("{}:0:fake", host_->next_process++), spec.cgroup};
  machine->spec = std::move(spec);
  machine->restored_from = std::move(restored_from);
  host_->machines[machine->spec.name] = machine;
  if (on_boot) on_boot(*machine);
  return std::make_unique<FakeHandle>(std::move(machine), on_destroy);
}

Task<Result<std::unique_ptr<Machine>>> FakeDriver::boot(MachineSpec spec) {
  co_return start(std::move(spec), "");
}

Task<Result<std::unique_ptr<Machine>>> FakeDriver::restore(MachineSpec spec,
                                                           std::string snapshot_directory) {
  co_return start(std::move(spec), std::move(snapshot_directory));
}

Task<Result<std::unique_ptr<Machine>>> FakeDriver::adopt(MachineIdentity identity) {
  auto machine = find(identity.name);
  if (!machine || machine->state == FakeMachine::State::ended || machine->identity_ != identity)
    co_return fail(Code::not_found, fmt::format("machine {} is not running", identity.name));
  co_return std::make_unique<FakeHandle>(std::move(machine), on_destroy);
}

std::shared_ptr<FakeMachine> FakeDriver::find(const std::string& name) const {
  const auto found = host_->machines.find(name);
  return found == host_->machines.end() ? nullptr : found->second;
}

size_t FakeDriver::running() const {
  size_t count = 0;
  for (const auto& [name, machine] : host_->machines)
    if (machine->state != FakeMachine::State::ended) ++count;
  return count;
}

}  // namespace nimbus::vm
