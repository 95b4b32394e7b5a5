#include "agent/slot.h"

#include <algorithm>

#include "agent/image_pull.h"
#include "base/check.h"
#include "base/log.h"
#include "os/atomic_file.h"

namespace nimbus::agent {
namespace {

constexpr Duration kRetryMake = std::chrono::seconds(5);
constexpr Duration kRetryWarm = std::chrono::seconds(30);
constexpr Duration kForever = std::chrono::hours(1);
constexpr size_t kConsoleTailBytes = size_t{16} * 1024;

bool fits(const WarmShape& shape, const model::JobSpec& spec) {
  return shape.image == spec.image && shape.cpus == spec.resources.cpus &&
         shape.memory_mb == spec.resources.memory_mb && shape.disk_mb >= spec.resources.disk_mb;
}

Verdict abandoned(std::string reason) {
  return {Verdict::Kind::abandoned, {}, {}, std::move(reason), false};
}

// An image that is not here does not come by trying again, but another host may have it: control
// knows whether there is one to ask. A name that is none is nobody's; anything else may be this
// host's fault.
Verdict without_image(const Error& error) {
  if (error.code != Code::not_found && error.code != Code::bad_request) {
    return abandoned("cannot boot: " + error.message);
  }
  std::string reason = error.message;
  if (!error.hint.empty()) reason += "; " + error.hint;
  if (error.code == Code::not_found) {
    Verdict verdict = abandoned(std::move(reason));
    verdict.lacks_image = true;
    return verdict;
  }
  return {Verdict::Kind::finished, model::JobResult::failed, {}, std::move(reason), false};
}

WarmShape shape_of(const model::JobSpec& spec) {
  return {spec.image, spec.resources.cpus, spec.resources.memory_mb, spec.resources.disk_mb};
}

}  // namespace

Slot::Slot(SlotContext& context, int index)
    : context_(context), index_(index), changed_(context.execution.loop) {}

Slot::~Slot() = default;

bool Slot::warm() const { return state_ == State::idle && gateway_ && gateway_->parked(); }

int Slot::fit(const model::JobSpec& spec) const {
  if (!free()) return -1;
  if (!shape_) return 1;
  if (!fits(*shape_, spec)) return 0;
  return warm() ? 3 : 2;
}

void Slot::assign(Assignment assignment) {
  CHECK(free());
  assigned_ = std::move(assignment);
  changed_.notify_all();
}

void Slot::adopt(std::shared_ptr<Execution> execution, std::shared_ptr<vm::Machine> machine,
                 ImageRoot image) {
  place_ = context_.places.describe(index_);
  machine_ = std::move(machine);
  shape_ = shape_of(execution->spec());
  image_ = std::move(image);
  adopted_ = std::move(execution);
  state_ = State::busy;
}

void Slot::set_state(State state) {
  state_ = state;
  context_.on_change();
}

Task<void> Slot::run(bool once) {
  if (adopted_) {
    co_await run_adopted();
    co_await tear_down();
  }
  while (!once && !context_.stopping) {
    if (auto made = co_await make_place(); !made) {
      log_error("slot cannot be made", made.error());
      (void)co_await changed_.wait(kRetryMake);
      continue;
    }
    set_state(State::idle);
    co_await wait_for_work();
    if (assigned_) {
      set_state(State::busy);
      co_await run_assigned();
    }
    set_state(State::making);
    co_await tear_down();
  }
  set_state(State::gone);
}

Task<Result<void>> Slot::make_place() {
  std::function<Result<Place>()> make = [this] { return context_.places.make(index_); };
  CO_TRY_ASSIGN(place_, co_await context_.execution.loop.blocking(std::move(make)));
  co_return Result<void>{};
}

// Returns with a job assigned, when the agent stops, or when the VM kept ready has died.
Task<void> Slot::wait_for_work() {
  while (!assigned_ && !context_.stopping && !machine_ended_) {
    const Duration now = context_.execution.clock.steady();
    if (!machine_ && now >= warm_again_at_ && context_.wants_warm()) {
      co_await warm_up();
    } else {
      (void)co_await changed_.wait(machine_ || now >= warm_again_at_ ? kForever
                                                                     : warm_again_at_ - now);
    }
  }
}

Task<void> Slot::warm_up() {
  WarmShape shape = context_.execution.options.warm_shape;
  Puller self{"agent", context_.execution.credential.secret};
  std::string name = shape.image;
  auto booted = co_await find_image(std::move(name), std::move(self));
  if (booted) booted = co_await boot(std::move(shape));
  if (!booted) {
    log_error("VM cannot be booted ahead", booted.error());
    shape_.reset();
    gateway_.reset();
    names_.reset();
    warm_again_at_ = context_.execution.clock.steady() + kRetryWarm;
    co_return;
  }
  context_.execution.loop.spawn(watch_warm(machine_), "watch warm machine");
}

// Sees the guest park, and the machine die while nobody has work for it.
Task<void> Slot::watch_warm(std::shared_ptr<vm::Machine> machine) {
  const bool parked = co_await gateway_->wait_parked(context_.execution.options.boot_timeout);
  if (machine != machine_) co_return;  // it has been taken, or is gone
  if (parked) {
    context_.on_change();
    const vm::Exit exit = co_await machine->wait_exit();
    if (machine != machine_ || state_ != State::idle) co_return;
    log_warn("VM kept ready has ended",
             {{"slot", index_}, {"how", vm::to_string(exit.kind)}, {"detail", exit.detail}});
  } else if (state_ == State::idle && !assigned_) {
    log_warn("VM kept ready did not start in time",
             {{"slot", index_}, {"console", machine->console_tail(1024)}});
    warm_again_at_ = context_.execution.clock.steady() + kRetryWarm;
  }
  if (assigned_ || state_ != State::idle) co_return;
  machine_ended_ = true;
  changed_.notify_all();
}

Task<void> Slot::time_boot() {
  const Duration begun = context_.execution.clock.steady();
  if (!co_await gateway_->wait_parked(context_.execution.options.boot_timeout)) co_return;
  const Duration took = context_.execution.clock.steady() - begun;
  context_.execution.metrics
      .histogram("nimbus_vm_boot_seconds", "From a VM's start to its guest's first question.")
      .observe(std::chrono::duration<double>(took).count());
}

Task<Result<void>> Slot::open_gateway() {
  std::function<Result<os::UniqueFd>()> listen = [this] { return context_.places.listen(place_); };
  CO_TRY_ASSIGN(auto listener, co_await context_.execution.loop.blocking(std::move(listen)));
  CO_TRY_ASSIGN(gateway_, Gateway::open(context_.execution.loop, context_.execution.control,
                                        std::move(listener)));
  if (!context_.resolver) co_return Result<void>{};
  std::function<Result<os::UniqueFd>()> listen_dns = [this] {
    return context_.places.listen_dns(place_);
  };
  CO_TRY_ASSIGN(auto socket, co_await context_.execution.loop.blocking(std::move(listen_dns)));
  if (!socket) co_return Result<void>{};
  CO_TRY_ASSIGN(names_,
                DnsForwarder::open(context_.execution.loop, std::move(socket), *context_.resolver));
  co_return Result<void>{};
}

Task<Result<ImageRoot>> Slot::look_up(const std::string& name) {
  std::function<Result<ImageRoot>()> look = [this, &name] { return context_.images(name); };
  co_return co_await context_.execution.loop.blocking(std::move(look));
}

Task<Result<ImageRoot>> Slot::pull_image(const std::string& name, Puller puller) {
  ExecutionContext& execution = context_.execution;
  const std::string directory = execution.options.directory + "/pull-" + std::to_string(index_);
  const Duration begun = execution.clock.steady();
  ImagePull pull(execution.loop, execution.control, directory, std::move(puller.token));
  std::string wanted = name;
  CO_TRY(co_await pull.resolve(std::move(wanted)));
  const std::string local = pull.local_name(puller.org);
  auto known = co_await look_up(local);
  if (known || known.error().code != Code::not_found) co_return known;
  auto fetched = co_await pull.fetch();
  std::function<Result<void>()> take = [&]() -> Result<void> {
    if (fetched) fetched = execution.options.import_image(directory, local);
    const auto removed = os::remove_tree(directory);
    return fetched ? removed : fetched;
  };
  CO_TRY(co_await execution.loop.blocking(std::move(take)));
  const Duration took = execution.clock.steady() - begun;
  log_info("image pulled", {{"image", name}, {"ms", took.count() / 1000}});
  co_return co_await look_up(local);
}

// What this host was given (archives, imports) is every org's; what it has not got is asked for in
// the registry.
Task<Result<void>> Slot::find_image(std::string name, Puller puller) {
  auto found = co_await look_up(name);
  const bool absent = !found && found.error().code == Code::not_found;
  if (absent && context_.execution.options.import_image) {
    auto pulled = co_await pull_image(name, std::move(puller));
    // Where the registry has not got it either, the first answer says how to get it.
    if (!pulled && pulled.error().code != Code::not_found) {
      co_return fail(Error(pulled.error()).in("pulling image " + name));
    }
    if (pulled) found = std::move(pulled);
  }
  if (!found) co_return fail(std::move(found).error());
  image_ = std::move(*found);
  co_return Result<void>{};
}

// Of an image in `image_`.
Task<Result<void>> Slot::boot(WarmShape shape) {
  shape_ = shape;
  machine_ended_ = false;
  const AgentOptions& options = context_.execution.options;
  std::function<Result<std::string>()> prepare = [this, &shape]() -> Result<std::string> {
    TRY(context_.places.limit(place_, {shape.cpus, shape.memory_mb}));
    return context_.places.make_scratch(place_, shape.disk_mb);
  };
  CO_TRY_ASSIGN(const std::string scratch,
                co_await context_.execution.loop.blocking(std::move(prepare)));
  CO_TRY(co_await open_gateway());

  vm::MachineSpec spec;
  spec.name = place_.name + "-" + std::to_string(++machines_);
  spec.directory = place_.directory;
  spec.kernel = options.kernel;
  spec.initramfs = options.initramfs;
  spec.cpus = shape.cpus;
  spec.memory_mb = shape.memory_mb;
  spec.disks = {{"image", image_.squashfs, true}, {"scratch", scratch, false}};
  spec.network = place_.network;
  spec.cgroup = place_.cgroup;
  spec.uid = spec.gid = place_.uid;
  context_.execution.loop.spawn(time_boot(), "time boot");
  CO_TRY_ASSIGN(std::unique_ptr<vm::Machine> machine,
                co_await context_.driver.boot(std::move(spec)));
  machine_ = std::move(machine);
  std::string identity = vm::to_json(machine_->identity());
  co_return co_await context_.execution.journal.set_machine(index_, std::move(identity));
}

Task<void> Slot::run_assigned() {
  auto execution = std::make_shared<Execution>(context_.execution, std::move(*assigned_), index_);
  assigned_.reset();
  if (auto begun = co_await execution->begin(); !begun) {
    // Not in the journal, not run: the lease runs out and the job goes to another.
    log_error("assignment cannot be recorded", begun.error());
    co_return;
  }
  context_.on_execution(execution);
  if (context_.stopping) {
    execution->stop_by(context_.stop_at);
    co_await finish(execution, Execution::given_back("the agent is stopping"));
    co_return;
  }
  if (!machine_ || machine_ended_ || !fits(*shape_, execution->spec())) {
    if (machine_) {
      co_await tear_down();
      if (auto made = co_await make_place(); !made) {
        Verdict verdict = abandoned(made.error().message);
        co_await finish(execution, std::move(verdict));
        co_return;
      }
    }
    co_await execution->note_booting();
    WarmShape shape = shape_of(execution->spec());
    Puller job{execution->spec().org, execution->job_token()};
    std::string name = shape.image;
    if (auto found = co_await find_image(std::move(name), std::move(job)); !found) {
      Verdict verdict = without_image(found.error());
      co_await finish(execution, std::move(verdict));
      co_return;
    }
    if (context_.stopping) {  // making an image's file system takes long
      co_await finish(execution, Execution::given_back("the agent is stopping"));
      co_return;
    }
    if (auto booted = co_await boot(std::move(shape)); !booted) {
      Verdict verdict = abandoned("cannot boot: " + booted.error().message);
      co_await finish(execution, std::move(verdict));
      co_return;
    }
  }
  Verdict verdict = co_await execution->run(machine_, *gateway_, image_);
  co_await finish(execution, std::move(verdict));
}

Task<void> Slot::run_adopted() {
  const auto execution = std::move(adopted_);
  if (auto opened = co_await open_gateway(); !opened) {
    Verdict verdict = abandoned("the agent restarted: " + opened.error().message);
    co_await finish(execution, std::move(verdict));
    co_return;
  }
  Verdict verdict = co_await execution->run(machine_, *gateway_, image_);
  co_await finish(execution, std::move(verdict));
}

// A guest's own word can be passed on at once; in every other case the VM must be gone before
// anyone may hear that the execution is over, or two could run.
Task<void> Slot::finish(std::shared_ptr<Execution> execution, Verdict verdict) {
  const std::string console = machine_ ? machine_->console_tail(kConsoleTailBytes) : "";
  if (!verdict.by_guest) co_await tear_down();
  context_.execution.loop.spawn(execution->conclude(std::move(verdict), console), "conclude");
}

Task<void> Slot::tear_down() {
  gateway_.reset();
  names_.reset();
  if (machine_) {
    const auto machine = std::move(machine_);
    machine_.reset();
    if (auto destroyed = co_await machine->destroy(); !destroyed) {
      log_error("VM is not gone", destroyed.error());
    }
    if (auto forgotten = co_await context_.execution.journal.forget_machine(index_); !forgotten) {
      log_error("VM stays in the journal", forgotten.error());
    }
  }
  shape_.reset();
  machine_ended_ = false;
  std::function<Result<void>()> remove = [this] { return context_.places.remove(index_); };
  if (auto removed = co_await context_.execution.loop.blocking(std::move(remove)); !removed) {
    log_error("slot is not empty", removed.error());
  }
}

}  // namespace nimbus::agent
