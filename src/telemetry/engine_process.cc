#include "telemetry/engine_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "base/text.h"
#include "telemetry/embedded_clickhouse.h"

extern char** environ;

namespace nimbus::telemetry {
namespace {

namespace asio = boost::asio;
constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

// One that ran this long was well; its next start is at once again.
constexpr Duration kSettled = std::chrono::seconds(10);
constexpr size_t kLineBytesMax = 1000;

struct Child {
  pid_t pid = 0;
  int pidfd = -1;
  int errors = -1;  // reading end of its standard error
};

// Everything the child needs is made before it is, so that nothing allocates in between.
Result<Child> spawn(const EngineProcessOptions& options) {
  std::array<int, 2> pipe_ends{};
  if (pipe2(pipe_ends.data(), O_CLOEXEC) != 0) return fail(errno_error("making a pipe", errno));
  std::vector<std::string> arguments = {"nimbus",    std::string(kEmbeddedCommand),
                                        "--path",    options.directory,
                                        "--socket",  options.socket,
                                        "--library", options.library};
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  // No secret of ours goes with it: the engine needs nothing from the environment.
  std::string parent = "NIMBUS_ENGINE_PARENT=" + std::to_string(getpid());
  std::string path = "PATH=/usr/bin:/bin";
  std::array<char*, 3> environment = {parent.data(), path.data(), nullptr};
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, pipe_ends[1], STDERR_FILENO);
  posix_spawn_file_actions_adddup2(&files, pipe_ends[1], STDOUT_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  // A group of its own, so that Ctrl-C in a terminal does not end it before us.
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  Child child;
  const int error = posix_spawn(&child.pid, options.program.c_str(), &files, &attributes,
                                argv.data(), environment.data());
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  close(pipe_ends[1]);
  if (error != 0) {
    close(pipe_ends[0]);
    return fail(errno_error("starting " + options.program, error));
  }
  child.errors = pipe_ends[0];
  child.pidfd = static_cast<int>(syscall(SYS_pidfd_open, child.pid, 0));
  if (child.pidfd >= 0) return child;
  // Without it nobody would notice the child's end.
  const Error cause = errno_error("watching the embedded ClickHouse", errno);
  kill(child.pid, SIGKILL);
  waitpid(child.pid, nullptr, 0);
  close(child.errors);
  return fail(cause);
}

std::string ending(int status) {
  if (WIFSIGNALED(status)) return "killed by signal " + std::to_string(WTERMSIG(status));
  return "ended with status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

struct EngineProcess::State {
  State(net::Loop& l, EngineProcessOptions o, Metrics& metrics)
      : loop(l),
        options(std::move(o)),
        wake(l),
        restarts(metrics.counter("nimbus_clickhouse_restarts_total",
                                 "Starts of the embedded ClickHouse after it had ended.")) {}
  net::Loop& loop;
  EngineProcessOptions options;
  net::Notifier wake;  // the child ended, or `stop` was asked for
  Counter& restarts;
  std::function<void()> change;
  pid_t pid = 0;
  std::string trouble;
  std::string last_line;  // of the child's standard error
  bool stopping = false;
};

namespace {

// Reads the child's standard error to its end, keeping the last line.
template <typename State>
Task<void> follow_errors(std::shared_ptr<State> state, int fd) {
  asio::posix::stream_descriptor stream(state->loop.context(), fd);
  std::array<char, 512> buffer;
  std::string line;
  while (true) {
    const auto target = asio::buffer(buffer);
    const auto [error, size] = co_await stream.async_read_some(target, kAwait);
    if (error) break;
    for (const char c : std::string_view(buffer.data(), size)) {
      if (c != '\n') {
        if (line.size() < kLineBytesMax) line += c;
        continue;
      }
      if (!trim(line).empty()) state->last_line = line;
      log_debug("embedded ClickHouse says", {{"line", line}});
      line.clear();
    }
  }
}

}  // namespace

EngineProcess::EngineProcess(net::Loop& loop, EngineProcessOptions options, Metrics& metrics)
    : state_(std::make_shared<State>(loop, std::move(options), metrics)) {}

EngineProcess::~EngineProcess() {
  state_->stopping = true;
  state_->change = nullptr;
  if (state_->pid > 0) {
    kill(state_->pid, SIGKILL);
    waitpid(state_->pid, nullptr, 0);
    state_->pid = 0;
  }
}

void EngineProcess::on_change(std::function<void()> call) { state_->change = std::move(call); }
pid_t EngineProcess::pid() const { return state_->pid; }
std::string EngineProcess::trouble() const { return state_->trouble; }

void EngineProcess::kick() {
  if (state_->pid > 0) kill(state_->pid, SIGKILL);
}

void EngineProcess::start() { state_->loop.spawn(supervise(state_), "embedded ClickHouse"); }

Task<void> EngineProcess::supervise(std::shared_ptr<State> state) {
  Duration pause = state->options.pause_min;
  bool first = true;
  std::string told;
  while (!state->stopping) {
    if (!first) state->restarts.add();
    first = false;
    const auto begun = std::chrono::steady_clock::now();
    if (state->options.library.empty()) {
      state->trouble =
          "libchdb.so was not found; install it with make deps, or name it in "
          "telemetry.libchdb";
    } else if (access(state->options.library.c_str(), R_OK) != 0) {
      state->trouble = "libchdb is not at " + state->options.library + ": " + std::strerror(errno);
    } else if (const auto child = spawn(state->options); !child) {
      state->trouble = child.error().message;
    } else {
      state->pid = child->pid;
      state->last_line.clear();
      state->trouble.clear();
      state->loop.spawn(follow_errors(state, child->errors), "embedded ClickHouse's errors");
      if (state->change) state->change();
      asio::posix::stream_descriptor gone(state->loop.context(), child->pidfd);
      co_await gone.async_wait(asio::posix::stream_descriptor::wait_read, kAwait);
      int status = 0;
      // The destructor may have waited for it already.
      if (state->pid > 0) waitpid(state->pid, &status, 0);
      state->pid = 0;
      state->trouble = "the embedded ClickHouse " + ending(status);
      if (!state->last_line.empty()) state->trouble += ": " + state->last_line;
    }
    if (state->stopping) break;
    if (state->trouble != told) log_warn("ClickHouse does not run", {{"reason", state->trouble}});
    told = state->trouble;
    if (state->change) state->change();
    if (std::chrono::steady_clock::now() - begun > kSettled) pause = state->options.pause_min;
    co_await state->wake.wait(pause);
    pause = std::min(pause * 2, state->options.pause_max);
  }
  state->wake.notify_all();
}

Task<void> EngineProcess::stop(Duration patience) {
  const std::shared_ptr<State> state = state_;
  state->stopping = true;
  state->wake.notify_all();
  if (state->pid > 0) {
    kill(state->pid, SIGTERM);
    co_await state->wake.wait(patience);
  }
  if (state->pid > 0) {
    kill(state->pid, SIGKILL);
    co_await state->wake.wait(std::chrono::seconds(5));
  }
}

}  // namespace nimbus::telemetry
