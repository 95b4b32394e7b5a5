#include "vm/qemu_machine.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>
#include <charconv>

#include "base/log.h"
#include "base/text.h"
#include "os/atomic_file.h"
#include "os/cgroup.h"
#include "vm/console_ring.h"
#include "vm/qmp.h"
#include "vm/snapshot_files.h"

namespace nimbus::vm {

namespace asio = boost::asio;
namespace json = boost::json;
constexpr auto kToken = asio::as_tuple(asio::use_awaitable);

namespace {

constexpr Duration kAnswerTimeout = std::chrono::seconds(20);
constexpr Duration kSnapshotTimeout = std::chrono::seconds(120);
constexpr Duration kDrainTimeout = std::chrono::seconds(2);
constexpr Duration kKillTimeout = std::chrono::seconds(10);
constexpr size_t kLastWordsBytesMax = 4096;

// What a dying monitor said, without what it says every time.
std::string tidy(std::string_view words) {
  std::string text;
  for (const auto line : split(words, '\n')) {
    if (line.empty() || line.find("QEMU waiting for connection") != std::string_view::npos)
      continue;
    text += (text.empty() ? "" : "; ") + std::string(trim(line));
  }
  return text;
}

}  // namespace

struct QemuMachine::State {
  State(net::Loop& owner, MachineIdentity who, os::Process child, ConsoleRing ring)
      : loop(owner),
        identity(std::move(who)),
        process(std::move(child)),
        console(std::move(ring)),
        changed(owner) {}

  using Pipe = std::shared_ptr<asio::posix::stream_descriptor>;

  net::Loop& loop;
  MachineIdentity identity;
  os::Process process;
  ConsoleRing console;
  std::unique_ptr<Qmp> qmp;
  std::string snapshot_directory;
  std::string snapshot_key;
  std::string last_words;
  std::string shutdown_reason;   // of QEMU's SHUTDOWN event
  std::string migration_status;  // of its MIGRATION events
  std::optional<Exit> exit;
  bool dropped = false;
  bool loaded = false;  // holds a frozen state, or is one: not to be frozen again
  std::vector<Pipe> pipes;
  size_t draining = 0;
  net::Notifier changed;

  void on_event(std::string_view name, const json::object& data) {
    const auto text = [&](std::string_view key) {
      const auto* value = data.if_contains(key);
      return value != nullptr && value->is_string() ? std::string(value->get_string()) : "";
    };
    if (name == "SHUTDOWN") shutdown_reason = text("reason");
    if (name == "MIGRATION") migration_status = text("status");
    changed.notify_all();
  }

  Exit classify(const os::ProcessExit& how) const {
    if (shutdown_reason == "guest-shutdown") return {Exit::Kind::powered_off, ""};
    if (shutdown_reason == "guest-reset" || shutdown_reason == "guest-panic")
      return {Exit::Kind::crashed, shutdown_reason};
    if (how.signal) return {Exit::Kind::killed, to_text(how)};
    if (how.code.value_or(0) != 0)
      return {Exit::Kind::failed, fmt::format("{}: {}", to_text(how), tidy(last_words))};
    if (!shutdown_reason.empty()) return {Exit::Kind::killed, shutdown_reason};
    return {Exit::Kind::unknown, to_text(how)};
  }

  Result<Qmp*> monitor() {
    if (exit || qmp == nullptr) return fail(Code::unavailable, "the machine has ended");
    return qmp.get();
  }
};

namespace {

using Sink = std::function<void(std::string_view)>;

}  // namespace

// Reads a pipe to its end, always: a console nobody reads would stop its guest.
static Task<void> drain(std::shared_ptr<asio::posix::stream_descriptor> pipe, Sink sink,
                        std::function<void()> ended) {
  std::array<char, 16384> piece;
  while (true) {
    const auto space = asio::buffer(piece);
    const auto [error, size] = co_await pipe->async_read_some(space, kToken);
    if (error) break;
    sink(std::string_view(piece.data(), size));
  }
  ended();
}

template <typename State>
static void start_drain(const std::shared_ptr<State>& state, os::UniqueFd fd, Sink sink) {
  auto pipe = std::make_shared<asio::posix::stream_descriptor>(state->loop.context());
  boost::system::error_code error;
  pipe->assign(fd.get(), error);
  if (error) return;
  fd.release();
  state->pipes.push_back(pipe);
  ++state->draining;
  auto ended = [state] {
    --state->draining;
    state->changed.notify_all();
  };
  state->loop.spawn(drain(std::move(pipe), std::move(sink), std::move(ended)), "monitor output");
}

// Waits for the monitor's end, then for the last of what it said, and judges.
template <typename State>
static Task<void> watch(std::shared_ptr<State> state) {
  const auto how = co_await state->process.wait_exit(Duration::max());
  if (!how) co_return;  // nobody is interested any more
  if (state->qmp) co_await state->qmp->wait_closed(kDrainTimeout);
  while (state->draining > 0)
    if (!co_await state->changed.wait(kDrainTimeout)) break;
  state->exit = state->classify(*how);
  state->changed.notify_all();
}

Task<Result<std::unique_ptr<QemuMachine>>> QemuMachine::take(net::Loop& loop,
                                                             MachineIdentity identity,
                                                             StartedMonitor monitor,
                                                             std::string snapshot_directory,
                                                             std::string snapshot_key) {
  auto ring = ConsoleRing::open(console_file(identity.directory));
  if (!ring) {
    monitor.process.kill();
    co_await monitor.process.wait_exit(kKillTimeout);
    (void)remove_machine_files(identity.directory);
    co_return fail(std::move(ring).error());
  }
  auto state = std::make_shared<State>(loop, std::move(identity), std::move(monitor.process),
                                       std::move(*ring));
  state->snapshot_directory = std::move(snapshot_directory);
  state->snapshot_key = std::move(snapshot_key);
  std::unique_ptr<QemuMachine> machine(new QemuMachine(state));
  Sink to_console = [state](std::string_view bytes) { state->console.append(bytes); };
  start_drain(state, std::move(monitor.console), std::move(to_console));
  if (monitor.errors) {
    Sink to_words = [state](std::string_view bytes) {
      state->last_words += bytes;
      if (state->last_words.size() > kLastWordsBytesMax)
        state->last_words.erase(0, state->last_words.size() - kLastWordsBytesMax);
    };
    start_drain(state, std::move(monitor.errors), std::move(to_words));
  }
  std::weak_ptr<State> weak = state;
  Qmp::OnEvent on_event = [weak](std::string_view name, const json::object& data) {
    if (const auto held = weak.lock()) held->on_event(name, data);
  };
  auto qmp =
      co_await Qmp::connect(loop, std::move(monitor.qmp), std::move(on_event), kAnswerTimeout);
  if (qmp) state->qmp = std::move(*qmp);
  loop.spawn(watch(state), "machine");
  if (!qmp) {
    const auto destroyed = co_await machine->destroy();
    const auto words = tidy(state->last_words);
    Error error = std::move(qmp).error();
    if (!words.empty()) error.message += ": " + words;
    co_return fail(std::move(error).in("starting machine " + state->identity.name));
  }
  co_return machine;
}

QemuMachine::~QemuMachine() {
  state_->dropped = true;
  state_->process.cancel_waits();
  state_->qmp.reset();
  boost::system::error_code ignored;
  for (const auto& pipe : state_->pipes) pipe->close(ignored);
  state_->changed.notify_all();
}

const MachineIdentity& QemuMachine::identity() const { return state_->identity; }

Task<Result<void>> QemuMachine::pause() {
  CO_TRY_ASSIGN(auto* qmp, state_->monitor());
  co_return co_await qmp->run("stop", kAnswerTimeout);
}

Task<Result<void>> QemuMachine::resume() {
  CO_TRY_ASSIGN(auto* qmp, state_->monitor());
  if (state_->loaded && !state_->snapshot_key.empty())
    co_return fail(Code::conflict, "the machine is a snapshot now and may only be destroyed");
  co_return co_await qmp->run("cont", kAnswerTimeout);
}

// The memory stays in its file and is not copied into the state (x-ignore-shared).
static Task<Result<void>> prepare_migration(Qmp& qmp) {
  json::array capabilities{json::object{{"capability", "x-ignore-shared"}, {"state", true}},
                           json::object{{"capability", "events"}, {"state", true}}};
  json::object chosen{{"capabilities", std::move(capabilities)}};
  CO_TRY(co_await qmp.call("migrate-set-capabilities", std::move(chosen), kAnswerTimeout));
  co_return Result<void>();
}

template <typename State>
static Task<Result<void>> migrate(std::shared_ptr<State> state, Qmp& qmp, std::string command,
                                  int state_fd) {
  state->migration_status.clear();
  json::object descriptor{{"fdname", "state"}};
  CO_TRY(co_await qmp.call("getfd", std::move(descriptor), kAnswerTimeout, state_fd));
  json::object where{{"uri", "fd:state"}};
  CO_TRY(co_await qmp.call(std::move(command), std::move(where), kAnswerTimeout));
  const auto done = [&] {
    return state->migration_status == "completed" || state->migration_status == "failed";
  };
  while (!done() && !state->exit && !state->dropped)
    if (!co_await state->changed.wait(kSnapshotTimeout)) break;
  if (state->migration_status == "completed") co_return Result<void>();
  co_return fail(Code::unavailable, fmt::format("the monitor's state did not move ({}): {}",
                                                state->migration_status, tidy(state->last_words)));
}

Task<Result<void>> QemuMachine::snapshot() {
  const auto state = state_;
  if (state->snapshot_directory.empty() || state->snapshot_key.empty())
    co_return fail(Code::bad_request, "the machine was not booted to be frozen");
  CO_TRY_ASSIGN(auto* qmp, state->monitor());
  CO_TRY(co_await qmp->run("stop", kAnswerTimeout));
  state->loaded = true;
  CO_TRY(co_await prepare_migration(*qmp));
  json::object fast{{"max-bandwidth", int64_t{1} << 40}};
  CO_TRY(co_await qmp->call("migrate-set-parameters", std::move(fast), kAnswerTimeout));
  const auto path = state_file(state->snapshot_directory);
  const os::UniqueFd file(
      ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) co_return fail(errno_error("making " + path, errno));
  CO_TRY(co_await migrate(state, *qmp, "migrate", file.get()));
  std::function<Result<void>()> finish = [state] {
    return finish_snapshot(state->snapshot_directory, state->snapshot_key);
  };
  co_return co_await state->loop.blocking(std::move(finish));
}

Task<Result<void>> QemuMachine::load(std::string snapshot_directory) {
  const auto state = state_;
  CO_TRY_ASSIGN(auto* qmp, state->monitor());
  CO_TRY(co_await prepare_migration(*qmp));
  const auto path = state_file(snapshot_directory);
  const os::UniqueFd file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!file) co_return fail(errno_error("opening " + path, errno));
  CO_TRY(co_await migrate(state, *qmp, "migrate-incoming", file.get()));
  // The frozen machine was stopped, and so is its copy.
  co_return co_await qmp->run("cont", kAnswerTimeout);
}

Task<std::optional<Exit>> QemuMachine::wait_exit(Duration timeout) {
  const auto state = state_;
  while (!state->exit && !state->dropped)
    if (!co_await state->changed.wait(timeout)) break;
  co_return state->exit;
}

Task<Exit> QemuMachine::wait_exit() {
  const auto state = state_;
  constexpr Duration kLong = std::chrono::hours(1);
  while (!state->exit && !state->dropped) co_await state->changed.wait(kLong);
  co_return state->exit.value_or(Exit{Exit::Kind::unknown, "nobody watches it any more"});
}

Task<Result<MachineStats>> QemuMachine::stats() {
  const auto pid = state_->process.pid();
  if (state_->exit) co_return fail(Code::unavailable, "the machine has ended");
  const auto text = os::read_file(fmt::format("/proc/{}/stat", pid), 4096);
  const auto bracket = text ? text->rfind(')') : std::string::npos;
  if (bracket == std::string::npos || bracket + 2 > text->size())
    co_return fail(Code::unavailable, "the machine has ended");
  // Fields 14, 15 and 24 of proc(5); the list begins with field 3.
  const auto fields = split(std::string_view(*text).substr(bracket + 2), ' ');
  const auto number = [&](size_t field) {
    int64_t value = 0;
    if (field - 3 < fields.size()) {
      const auto digits = fields[field - 3];
      std::from_chars(digits.data(), digits.data() + digits.size(), value);
    }
    return value;
  };
  MachineStats stats;
  stats.cpu_time = Duration((number(14) + number(15)) * 1'000'000 / ::sysconf(_SC_CLK_TCK));
  stats.memory_bytes = static_cast<uint64_t>(number(24) * ::sysconf(_SC_PAGESIZE));
  co_return stats;
}

std::string QemuMachine::console_tail(size_t bytes_max) const {
  return state_->console.tail(bytes_max);
}

Task<Result<void>> QemuMachine::destroy() {
  const auto state = state_;
  const std::string what = "destroying machine " + state->identity.name;
  state->process.kill();
  if (!state->exit && !co_await wait_exit(kKillTimeout))
    co_return fail(Code::unavailable, what + ": its monitor does not die");
  std::function<Result<void>()> clean = [state]() -> Result<void> {
    if (!state->identity.cgroup.empty())
      if (auto group = os::Cgroup::open(state->identity.cgroup)) TRY(group->kill());
    return remove_machine_files(state->identity.directory);
  };
  auto cleaned = co_await state->loop.blocking(std::move(clean));
  if (!cleaned) co_return fail(std::move(cleaned).error().in(what));
  co_return Result<void>();
}

}  // namespace nimbus::vm
