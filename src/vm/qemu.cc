#include "vm/qemu.h"

#include <fmt/core.h>
#include <unistd.h>

#include <functional>

#include "os/atomic_file.h"
#include "vm/kernel_image.h"
#include "vm/qemu_host.h"
#include "vm/qemu_machine.h"
#include "vm/snapshot_files.h"

namespace nimbus::vm {

namespace {

constexpr std::string_view kDriverName = "qemu";

class QemuDriver final : public Driver {
 public:
  QemuDriver(net::Loop& loop, QemuOptions options) : loop_(loop), options_(std::move(options)) {}

  Task<Result<Capabilities>> preflight(std::string kernel) override {
    CO_TRY_ASSIGN(const auto host, co_await find_host(std::move(kernel)));
    co_return Capabilities{std::string(kDriverName), host.version, host.accel, true, host.detail};
  }

  Task<Result<std::unique_ptr<Machine>>> boot(MachineSpec spec) override {
    return start(std::move(spec), "");
  }
  Task<Result<std::unique_ptr<Machine>>> restore(MachineSpec spec,
                                                 std::string snapshot_directory) override {
    return start(std::move(spec), std::move(snapshot_directory));
  }
  Task<Result<std::unique_ptr<Machine>>> adopt(MachineIdentity identity) override;

 private:
  struct Prepared {
    StartedMonitor monitor;
    std::string snapshot_key;
  };

  Task<Result<QemuHost>> find_host(std::string kernel);
  Task<Result<std::unique_ptr<Machine>>> start(MachineSpec spec, std::string frozen);
  static Result<Prepared> prepare(const MachineSpec& spec, const QemuOptions& options,
                                  const QemuHost& host, const std::string& frozen);

  net::Loop& loop_;
  const QemuOptions options_;
  std::optional<std::pair<std::string, QemuHost>> host_;  // by kernel, as it was named
};

Task<Result<QemuHost>> QemuDriver::find_host(std::string kernel) {
  if (host_ && host_->first == kernel) co_return host_->second;
  std::function<Result<QemuHost>()> inspect = [this, &kernel] {
    return inspect_host(options_, kernel);
  };
  CO_TRY_ASSIGN(auto host, co_await loop_.blocking(std::move(inspect)));
  host_.emplace(std::move(kernel), host);
  co_return host;
}

// Everything that blocks between the wish and the running monitor.
Result<QemuDriver::Prepared> QemuDriver::prepare(const MachineSpec& spec,
                                                 const QemuOptions& options, const QemuHost& host,
                                                 const std::string& frozen) {
  QemuLaunch launch;
  launch.binary = options.binary;
  launch.kernel = TRY(prepare_kernel(spec.kernel, options.cache_directory));
  launch.accel = host.accel;
  launch.tsc_khz = host.tsc_khz;
  const bool root = ::geteuid() == 0;
  if (spec.uid != 0 && !root) return fail(Code::forbidden, "only root changes a monitor's user");
  if (root) launch.empty_directory = root_directory(spec.directory);
  TRY(remove_machine_files(spec.directory));

  std::string key;
  if (!frozen.empty()) {
    TRY(check_snapshot(frozen, TRY(snapshot_key(spec, launch, host.version))));
    launch.memory_file = memory_file(frozen);
    launch.incoming = true;
  } else if (!spec.snapshot_directory.empty()) {
    key = TRY(snapshot_key(spec, launch, host.version));
    TRY(begin_snapshot(spec));
    launch.memory_file = memory_file(spec.snapshot_directory);
    launch.memory_shared = true;
  }
  auto monitor = start_monitor(spec, launch);
  if (!monitor) {
    (void)remove_machine_files(spec.directory);
    return fail(std::move(monitor).error());
  }
  return Prepared{std::move(*monitor), std::move(key)};
}

Task<Result<std::unique_ptr<Machine>>> QemuDriver::start(MachineSpec spec, std::string frozen) {
  const std::string what = "starting machine " + spec.name;
  CO_TRY(check_spec(spec));
  CO_TRY_ASSIGN(const auto host, co_await find_host(spec.kernel));
  std::function<Result<Prepared>()> call = [&] { return prepare(spec, options_, host, frozen); };
  auto prepared = co_await loop_.blocking(std::move(call));
  if (!prepared) co_return fail(std::move(prepared).error().in(what));
  MachineIdentity identity{std::string(kDriverName), spec.name, spec.directory,
                           os::to_text(prepared->monitor.process.identity()), spec.cgroup};
  auto machine =
      co_await QemuMachine::take(loop_, std::move(identity), std::move(prepared->monitor),
                                 spec.snapshot_directory, std::move(prepared->snapshot_key));
  if (!machine) co_return fail(std::move(machine).error());
  if (!frozen.empty()) {
    auto loaded = co_await (*machine)->load(frozen);
    if (!loaded) {
      const auto destroyed = co_await (*machine)->destroy();
      co_return fail(std::move(loaded).error().in(what));
    }
  }
  co_return std::unique_ptr<Machine>(std::move(*machine));
}

Task<Result<std::unique_ptr<Machine>>> QemuDriver::adopt(MachineIdentity identity) {
  const std::string what = "adopting machine " + identity.name;
  if (identity.driver != kDriverName)
    co_return fail(Code::bad_request, what + ": it is of driver " + identity.driver);
  CO_TRY_ASSIGN(const auto process, os::parse_process_identity(identity.process));
  auto found = os::Process::adopt(process);
  if (!found) {
    (void)remove_machine_files(identity.directory);
    co_return fail(std::move(found).error().in(what));
  }
  auto qmp = connect_socket(qmp_socket(identity.directory));
  auto console = connect_socket(console_socket(identity.directory));
  if (!qmp || !console) {
    found->kill();  // it runs, but nobody can lead it any more
    co_await found->wait_exit(std::chrono::seconds(10));
    (void)remove_machine_files(identity.directory);
    co_return fail(std::move(qmp ? console.error() : qmp.error()).in(what));
  }
  StartedMonitor monitor{std::move(*found), std::move(*qmp), std::move(*console), {}};
  auto machine = co_await QemuMachine::take(loop_, std::move(identity), std::move(monitor), "", "");
  if (!machine) co_return fail(std::move(machine).error().in(what));
  co_return std::unique_ptr<Machine>(std::move(*machine));
}

}  // namespace

std::unique_ptr<Driver> make_qemu_driver(net::Loop& loop, QemuOptions options) {
  return std::make_unique<QemuDriver>(loop, std::move(options));
}

}  // namespace nimbus::vm
