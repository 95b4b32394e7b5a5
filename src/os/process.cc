#include "os/process.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <grp.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

#include "os/unique_fd.h"

namespace nimbus::os {

namespace {

namespace asio = boost::asio;

int open_pidfd(pid_t pid) { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); }

// Everything the child needs, made before fork: between fork and exec it may not allocate, because
// another thread of this program may have held the allocator's lock.
struct Launch {
  std::vector<char*> argv;
  std::vector<char*> environment;
  const char* directory = "/";
  std::vector<std::pair<int, int>> fds;  // sorted by number in the child
  int namespace_fd = -1;
  std::vector<int> cgroup_fds;
  bool change_user = false;
  uid_t uid = 0;
  gid_t gid = 0;
  bool die_with_parent = false;
  bool no_new_privileges = true;
  int report_fd = -1;
  pid_t parent = 0;
};

enum class Step : int { descriptors, cgroup, network_namespace, user, directory, privileges, exec };

std::string_view to_string(Step step) {
  switch (step) {
    case Step::descriptors: return "handing over descriptors";
    case Step::cgroup: return "entering its cgroup";
    case Step::network_namespace: return "entering its network namespace";
    case Step::user: return "becoming its user";
    case Step::directory: return "entering its directory";
    case Step::privileges: return "giving up privileges";
    case Step::exec: return "executing it";
  }
  return "starting it";
}

struct Report {
  Step step;
  int error;
};

[[noreturn]] void give_up(const Launch& launch, Step step) {
  const Report report{step, errno};
  [[maybe_unused]] const auto ignored = ::write(launch.report_fd, &report, sizeof report);
  ::_exit(127);
}

// Moves the descriptors to their numbers. Sources go above every target first, so that no dup2
// closes a source still to come. Returns the report pipe's new number.
int place_descriptors(Launch& launch) {
  const int first_free = launch.fds.back().second + 1;
  const int report = ::fcntl(launch.report_fd, F_DUPFD_CLOEXEC, first_free);
  if (report < 0) give_up(launch, Step::descriptors);
  launch.report_fd = report;
  for (int* fd : {&launch.namespace_fd}) {
    if (*fd >= 0 && (*fd = ::fcntl(*fd, F_DUPFD_CLOEXEC, first_free)) < 0)
      give_up(launch, Step::descriptors);
  }
  for (int& fd : launch.cgroup_fds)
    if ((fd = ::fcntl(fd, F_DUPFD_CLOEXEC, first_free)) < 0) give_up(launch, Step::descriptors);
  for (auto& [source, target] : launch.fds)
    if ((source = ::fcntl(source, F_DUPFD_CLOEXEC, first_free)) < 0)
      give_up(launch, Step::descriptors);
  int next = 0;
  for (const auto& [source, target] : launch.fds) {
    if (target > next)
      ::syscall(SYS_close_range, static_cast<unsigned>(next), static_cast<unsigned>(target - 1), 0);
    if (::dup2(source, target) < 0) give_up(launch, Step::descriptors);
    next = target + 1;
  }
  if (::syscall(SYS_close_range, static_cast<unsigned>(first_free), ~0U, CLOSE_RANGE_CLOEXEC) != 0)
    give_up(launch, Step::descriptors);
  return report;
}

// Runs in the child. The order matters: cgroup and namespace need the privileges that go with the
// user, and a change of user clears the parent-death signal.
[[noreturn]] void run_child(Launch& launch) {
  ::setsid();  // a terminal's ^C is for this program, not for its children
  place_descriptors(launch);
  for (const int fd : launch.cgroup_fds)
    if (::write(fd, "0", 1) != 1) give_up(launch, Step::cgroup);
  if (launch.namespace_fd >= 0 && ::setns(launch.namespace_fd, CLONE_NEWNET) != 0)
    give_up(launch, Step::network_namespace);
  if (launch.change_user &&
      (::setgroups(0, nullptr) != 0 || ::setresgid(launch.gid, launch.gid, launch.gid) != 0 ||
       ::setresuid(launch.uid, launch.uid, launch.uid) != 0))
    give_up(launch, Step::user);
  if (launch.die_with_parent) {
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) give_up(launch, Step::privileges);
    if (::getppid() != launch.parent) ::_exit(127);  // it ended before the line above
  }
  if (launch.no_new_privileges && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    give_up(launch, Step::privileges);
  if (::chdir(launch.directory) != 0) give_up(launch, Step::directory);
  ::execve(launch.argv[0], launch.argv.data(), launch.environment.data());
  give_up(launch, Step::exec);
}

void reset_signals() {
  for (int number = 1; number < NSIG; ++number) {
    struct sigaction action{};
    if (::sigaction(number, nullptr, &action) != 0 || action.sa_handler == SIG_DFL) continue;
    action.sa_handler = SIG_DFL;
    action.sa_flags = 0;
    ::sigaction(number, &action, nullptr);
  }
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

std::vector<char*> to_pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (const auto& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

Result<UniqueFd> open_path(const std::string& path, int flags) {
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC));
  if (!fd) return fail(errno_error("opening " + path, errno));
  return fd;
}

// Forks; the child's signals stay blocked until their dispositions are the default ones, so that a
// handler of this program never runs in it.
pid_t fork_child(Launch& launch) {
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  if (pid == 0) {
    reset_signals();
    run_child(launch);
  }
  const int error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return pid;
}

}  // namespace

struct Process::State {
  ProcessIdentity identity;
  UniqueFd pidfd;
  std::optional<ProcessExit> exit;
  std::vector<std::weak_ptr<asio::posix::stream_descriptor>> waits;

  bool readable() const {
    pollfd entry{pidfd.get(), POLLIN, 0};
    return ::poll(&entry, 1, 0) == 1;
  }

  std::optional<ProcessExit> find_exit() {
    if (exit) return exit;
    siginfo_t info{};
    const int got = ::waitid(P_PIDFD, static_cast<id_t>(pidfd.get()), &info, WEXITED | WNOHANG);
    if (got == 0 && info.si_pid != 0) {
      exit = info.si_code == CLD_EXITED ? ProcessExit{info.si_status, {}}
                                        : ProcessExit{{}, info.si_status};
    } else if (got != 0 && errno == ECHILD && readable()) {
      exit = ProcessExit{};  // not our child, so its status is not ours to read
    }
    return exit;
  }
};

std::string to_text(const ProcessExit& exit) {
  if (exit.code) return fmt::format("exit code {}", *exit.code);
  if (!exit.signal) return "ended";
  const char* name = ::sigabbrev_np(*exit.signal);
  return name == nullptr ? fmt::format("signal {}", *exit.signal)
                         : fmt::format("signal {} (SIG{})", *exit.signal, name);
}

Process::Process(std::shared_ptr<State> state) : state_(std::move(state)) {}
Process::Process(Process&&) noexcept = default;
Process& Process::operator=(Process&&) noexcept = default;
Process::~Process() = default;

Result<Process> Process::spawn(const SpawnOptions& options) {
  if (options.argv.empty() || options.argv[0].empty())
    return fail(Code::bad_request, "a process needs a program to run");
  const std::string what = "starting " + options.argv[0];

  Launch launch;
  launch.argv = to_pointers(options.argv);
  launch.environment = to_pointers(options.environment);
  launch.directory = options.directory.c_str();
  launch.parent = ::getpid();
  launch.die_with_parent = options.die_with_parent;
  launch.no_new_privileges = options.no_new_privileges;
  if (options.user) {
    launch.change_user = true;
    std::tie(launch.uid, launch.gid) = *options.user;
  }

  std::vector<UniqueFd> held;  // open until the child has its own copies
  const auto hold = [&held](UniqueFd fd) { return held.emplace_back(std::move(fd)).get(); };
  const int null = hold(TRY_IN(what, open_path("/dev/null", O_RDWR)));
  launch.fds = options.fds;
  for (const int standard : {0, 1, 2})
    if (std::none_of(launch.fds.begin(), launch.fds.end(),
                     [&](const auto& fd) { return fd.second == standard; }))
      launch.fds.emplace_back(null, standard);
  std::sort(launch.fds.begin(), launch.fds.end(),
            [](const auto& a, const auto& b) { return a.second < b.second; });
  if (!options.network_namespace.empty())
    launch.namespace_fd = hold(TRY_IN(what, open_path(options.network_namespace, O_RDONLY)));
  for (const auto& file : options.cgroup_procs)
    launch.cgroup_fds.push_back(hold(TRY_IN(what, open_path(file, O_WRONLY))));

  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return fail(errno_error(what, errno));
  UniqueFd reports(pipe[0]);
  UniqueFd report_end(pipe[1]);
  launch.report_fd = report_end.get();

  const pid_t pid = fork_child(launch);
  if (pid < 0) return fail(errno_error(what, errno));
  report_end.reset();

  auto state = std::make_shared<State>();
  state->pidfd.reset(open_pidfd(pid));  // no race: the child is not reaped yet
  Report report{};
  ssize_t got;
  do got = ::read(reports.get(), &report, sizeof report);
  while (got < 0 && errno == EINTR);
  if (got == sizeof report) {
    ::waitpid(pid, nullptr, 0);
    Error error = errno_error(std::string(to_string(report.step)), report.error);
    if (report.step == Step::exec && report.error == ENOENT) error.code = Code::not_found;
    return fail(std::move(error).in(what));
  }
  if (!state->pidfd) {
    const int error = errno;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return fail(errno_error(what + ": opening its pidfd", error));
  }
  state->identity = TRY_IN(what, read_process_identity(pid));
  return Process(std::move(state));
}

Result<Process> Process::adopt(const ProcessIdentity& identity) {
  auto state = std::make_shared<State>();
  state->identity = identity;
  state->pidfd.reset(open_pidfd(identity.pid));
  const auto gone = [&] {
    return fail(Code::not_found, fmt::format("process {} has ended", identity.pid));
  };
  if (!state->pidfd) {
    if (errno == ESRCH || errno == EINVAL) return gone();
    return fail(errno_error(fmt::format("opening process {}", identity.pid), errno));
  }
  // Read after the pidfd is open: from here on it cannot become another process.
  const auto now = read_process_identity(identity.pid);
  if (!now || !(*now == identity) || state->find_exit()) return gone();
  return Process(std::move(state));
}

const ProcessIdentity& Process::identity() const { return state_->identity; }
pid_t Process::pid() const { return state_->identity.pid; }

void Process::signal(int number) {
  ::syscall(SYS_pidfd_send_signal, state_->pidfd.get(), number, nullptr, 0);
}
void Process::kill() { signal(SIGKILL); }

std::optional<ProcessExit> Process::find_exit() { return state_->find_exit(); }

Task<ProcessExit> Process::wait_exit() {
  const auto state = state_;
  while (true) {
    const auto exit = co_await wait_for_exit(state, Duration::max());
    if (exit) co_return *exit;
  }
}

Task<std::optional<ProcessExit>> Process::wait_exit(Duration timeout) {
  return wait_for_exit(state_, timeout);
}

void Process::cancel_waits() {
  for (const auto& wait : state_->waits)
    if (const auto descriptor = wait.lock()) descriptor->cancel();
}

Task<std::optional<ProcessExit>> Process::wait_for_exit(std::shared_ptr<State> state,
                                                        Duration timeout) {
  if (auto exit = state->find_exit()) co_return exit;
  const auto executor = co_await asio::this_coro::executor;
  const int copy = ::fcntl(state->pidfd.get(), F_DUPFD_CLOEXEC, 3);
  if (copy < 0) co_return std::nullopt;
  // Shared: the timer's handler may still be queued when this coroutine has gone on.
  const auto descriptor = std::make_shared<asio::posix::stream_descriptor>(executor, copy);
  std::erase_if(state->waits, [](const auto& wait) { return wait.expired(); });
  state->waits.push_back(descriptor);
  asio::steady_timer timer(executor);
  if (timeout != Duration::max()) {
    timer.expires_after(timeout);
    timer.async_wait([descriptor](const boost::system::error_code& error) {
      if (!error) descriptor->cancel();
    });
  }
  constexpr auto token = asio::as_tuple(asio::use_awaitable);
  co_await descriptor->async_wait(asio::posix::stream_descriptor::wait_read, token);
  timer.cancel();
  co_return state->find_exit();
}

std::optional<ProcessExit> Process::wait_exit_blocking(Duration timeout) {
  using Steady = std::chrono::steady_clock;
  const auto deadline = Steady::now() + timeout;
  while (true) {
    if (auto exit = state_->find_exit()) return exit;
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Steady::now()).count();
    if (left < 0) return std::nullopt;
    pollfd entry{state_->pidfd.get(), POLLIN, 0};
    ::poll(&entry, 1, static_cast<int>(std::min<int64_t>(left + 1, 60'000)));
  }
}

}  // namespace nimbus::os
