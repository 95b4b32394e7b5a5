// One running QEMU as a Machine: its process, its control connection, its console.
//
// Threads: the loop's.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "net/loop.h"
#include "vm/machine.h"
#include "vm/monitor_start.h"

namespace nimbus::vm {

class QemuMachine final : public Machine {
 public:
  // Takes over a monitor that was just started, or one found again (without `errors`), and waits
  // until it answers. On failure the monitor is gone, with its files.
  // unavailable: it ended or does not answer; the message carries its last words.
  // `snapshot_key`: what a snapshot of this machine is filed under, "" when none may be made.
  static Task<Result<std::unique_ptr<QemuMachine>>> take(net::Loop& loop, MachineIdentity identity,
                                                         StartedMonitor monitor,
                                                         std::string snapshot_directory,
                                                         std::string snapshot_key);
  ~QemuMachine() override;

  // Loads a frozen state into a monitor that waits for one, and lets the guest run.
  Task<Result<void>> load(std::string snapshot_directory);

  const MachineIdentity& identity() const override;
  Task<Result<void>> pause() override;
  Task<Result<void>> resume() override;
  Task<Result<void>> snapshot() override;
  Task<Exit> wait_exit() override;
  Task<std::optional<Exit>> wait_exit(Duration timeout) override;
  Task<Result<MachineStats>> stats() override;
  std::string console_tail(size_t bytes_max) const override;
  Task<Result<void>> destroy() override;

 private:
  struct State;
  std::shared_ptr<State> state_;
  explicit QemuMachine(std::shared_ptr<State> state) : state_(std::move(state)) {}
};

}  // namespace nimbus::vm
