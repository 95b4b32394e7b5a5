// Taking up what an earlier life of the agent left: jobs whose VMs still run, reports that are not
// accepted yet, and everything else, which is removed.
#include <algorithm>

#include "agent/agent_state.h"
#include "base/log.h"

namespace nimbus::agent {

Task<Result<void>> Agent::State::recover() {
  std::function<Result<std::vector<JournaledExecution>>()> read = [this] {
    return journal->read();
  };
  CO_TRY_ASSIGN(auto rows, co_await parts.loop.blocking(std::move(read)));
  using Machines = std::vector<std::pair<int, std::string>>;
  std::function<Result<Machines>()> read_machines = [this] { return journal->read_machines(); };
  CO_TRY_ASSIGN(const Machines machines, co_await parts.loop.blocking(std::move(read_machines)));

  for (int index = 0; index < options.slots; ++index) {
    slots.push_back(std::make_unique<Slot>(slot_context, index));
  }
  std::set<int> kept;
  for (JournaledExecution& row : rows) co_await recover_execution(std::move(row), kept);
  for (const auto& [slot, identity] : machines) {
    if (!kept.contains(slot)) co_await destroy_stray(slot, identity);
  }
  std::function<Result<void>()> sweep = [this, &kept]() -> Result<void> {
    for (const int index : TRY(parts.places.list())) {
      if (kept.contains(index)) continue;
      log_info("removing what an earlier run left in a slot", {{"slot", index}});
      if (auto removed = parts.places.remove(index); !removed) {
        log_error("slot is not empty", removed.error());
      }
    }
    return {};
  };
  co_return co_await parts.loop.blocking(std::move(sweep));
}

Task<void> Agent::State::recover_execution(JournaledExecution row, std::set<int>& kept) {
  auto assignment = parse_journaled_assignment(row.assignment);
  if (!assignment) {
    log_error("journal holds an assignment that cannot be read", assignment.error());
    (void)co_await journal->end(row.key);
    co_return;
  }
  auto execution = std::make_shared<Execution>(execution_context, std::move(*assignment), row.slot);
  const JournaledExecution before = row;
  if (auto resumed = co_await execution->resume(std::move(row)); !resumed) {
    log_error("execution cannot be taken up again", resumed.error());
    co_return;
  }
  hold(execution);
  if (before.ended) {
    parts.loop.spawn(execution->conclude_again(), "conclude again");
    co_return;
  }
  Verdict verdict{Verdict::Kind::abandoned, {}, {}, "the agent restarted before the VM ran", false};
  if (!before.machine.empty()) {
    auto identity = vm::parse_machine_identity(before.machine);
    Result<std::unique_ptr<vm::Machine>> machine = fail(Code::corrupt, "unreadable identity");
    if (identity) machine = co_await parts.driver.adopt(std::move(*identity));
    std::function<Result<ImageRoot>()> look = [this, &execution] {
      return images(execution->spec().image);
    };
    if (machine) {
      auto image = co_await parts.loop.blocking(std::move(look));
      if (before.slot >= options.slots) {
        slots.push_back(std::make_unique<Slot>(slot_context, before.slot));
      }
      const auto slot = std::find_if(slots.begin(), slots.end(), [&](const auto& other) {
        return other->index() == before.slot;
      });
      log_info("VM of a running job is taken up again",
               {{"job", execution->key().job.value}, {"slot", before.slot}});
      (*slot)->adopt(execution, std::move(*machine), image ? std::move(*image) : ImageRoot{});
      kept.insert(before.slot);
      co_return;
    }
    verdict.reason = "the agent restarted and the VM was gone";
    // The journal knows only that it still ran then: its end is nobody's knowledge.
    if (before.alive_at) {
      verdict.ended_at = before.alive_at;
      verdict.reason += "; it was last known to run at " + to_rfc3339(*before.alive_at);
    }
  }
  parts.loop.spawn(execution->conclude(std::move(verdict), ""), "conclude");
}

Task<void> Agent::State::destroy_stray(int slot, std::string text) {
  auto identity = vm::parse_machine_identity(text);
  if (identity) {
    auto machine = co_await parts.driver.adopt(std::move(*identity));
    if (machine) {
      log_info("ending a VM that an earlier run left", {{"slot", slot}});
      (void)co_await (*machine)->destroy();
    }
  }
  (void)co_await journal->forget_machine(slot);
}

}  // namespace nimbus::agent
