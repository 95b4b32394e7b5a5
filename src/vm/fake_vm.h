// A driver without machines, for tests of the agent: it records what was asked, and the test plays
// the guest. Nothing happens by itself: a machine runs until the test ends it or it is destroyed.
//
//   FakeDriver driver;
//   driver.on_boot = [](FakeMachine& machine) { machine.write_console("hello\n"); };
//   auto machine = co_await driver.boot(spec);
//   driver.find("slot-0")->end({Exit::Kind::powered_off, ""});
//
// Machines outlive their Machine objects, as real ones do, so adoption can be tested; `host` may be
// shared by several drivers to play a restarted agent. Threads: the loop's.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "vm/machine.h"

namespace nimbus::vm {

// One machine as the fake host sees it.
class FakeMachine {
 public:
  enum class State { running, paused, ended };

  MachineSpec spec;
  std::string restored_from;  // snapshot directory, "" when booted
  State state = State::running;
  bool destroyed = false;
  bool snapshot_taken = false;
  Exit exit;

  void write_console(std::string_view text);
  void end(Exit how);  // wakes every waiter; once
  const std::string& console() const { return console_; }

 private:
  friend class FakeDriver;
  friend class FakeHandle;
  std::string console_;
  MachineIdentity identity_;
  std::vector<std::function<void()>> waiters_;
};

struct FakeHost {
  std::map<std::string, std::shared_ptr<FakeMachine>> machines;  // by name, ended ones included
  int next_process = 1;
};

class FakeDriver final : public Driver {
 public:
  explicit FakeDriver(std::shared_ptr<FakeHost> host = std::make_shared<FakeHost>());

  Task<Result<Capabilities>> preflight(std::string kernel) override;
  Task<Result<std::unique_ptr<Machine>>> boot(MachineSpec spec) override;
  Task<Result<std::unique_ptr<Machine>>> restore(MachineSpec spec,
                                                 std::string snapshot_directory) override;
  Task<Result<std::unique_ptr<Machine>>> adopt(MachineIdentity identity) override;

  // The test's side.
  Capabilities capabilities{"fake", "1", "tcg", true, ""};
  std::function<void(FakeMachine&)> on_boot;  // also on restore; plays the guest's start
  std::function<void(FakeMachine&)> on_destroy;
  std::deque<Error> boot_failures;  // taken one by one by the next boots and restores
  std::shared_ptr<FakeMachine> find(const std::string& name) const;  // nullptr when unknown
  size_t running() const;
  FakeHost& host() { return *host_; }

 private:
  std::shared_ptr<FakeHost> host_;
  Result<std::unique_ptr<Machine>> start(MachineSpec spec, std::string restored_from);
};

}  // namespace nimbus::vm
