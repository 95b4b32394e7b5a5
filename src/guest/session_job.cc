// The job's process: begun, listened to, stopped, outlived. See session.h.
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>

#include "guest/session_state.h"

namespace nimbus::guest {
namespace {

using std::chrono::seconds;

constexpr seconds kSilenceMax{5};  // of pipes that stay open although everybody is dead
constexpr int kCannotRun = 126;
constexpr size_t kReadBytes = size_t{64} * 1024;

}  // namespace

int64_t now_ns() {
  timespec now{};
  (void)::clock_gettime(CLOCK_REALTIME, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void Session::State::start_job(Steady::time_point now) {
  surroundings.set_clock(job);
  stage = Stage::running;
  add_system_line(options.greeting);
  begin_main(now);  // the first line is on its way while all else is made ready
  (void)step_main(now);
  drive_side(now);
  deadline = now + job.timeout;
  ending.timeout = job.timeout;

  surroundings.set_name(job.hostname);
  Launch launch;
  launch.command = job.command;
  launch.account = surroundings.find_account(job.user);
  launch.drop_privileges = options.drop_privileges;
  launch.workdir = job.workdir;
  launch.env = job.env;
  launch.env.emplace("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  launch.env.emplace("HOME", launch.account.home);
  launch.env.emplace("USER", launch.account.name);
  launch.env.emplace("LOGNAME", launch.account.name);
  surroundings.make_workdir(job.workdir, launch.account);
  streams[0].fd = launcher->output_fd();
  streams[1].fd = launcher->error_fd();
  if (const auto begun = launcher->start(launch); !begun) {
    add_system_line(begun.error().message);
    job_exited = true;
    exited_at = now;
    ending.wait_status = kCannotRun << 8;
  } else if (const int error = launcher->await_start(); error != 0) {
    add_system_line("cannot run '" + job.command.front() + "': " + std::strerror(error));
  }
}

void Session::State::read_streams(Steady::time_point now) {
  for (Stream& stream : streams) {
    if (stream.fd >= 0 && !outbox.full()) read_stream(stream, now);
    if (stream.pending_since && now >= *stream.pending_since + options.partial_after) {
      const int64_t ts = now_ns();
      stream.splitter.flush(
          [&](std::string_view text, bool partial) { outbox.add(stream.name, text, ts, partial); });
      stream.pending_since.reset();
    }
  }
}

void Session::State::read_stream(Stream& stream, Steady::time_point now) {
  static std::array<char, kReadBytes> buffer;
  const ssize_t count = ::read(stream.fd, buffer.data(), buffer.size());
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  last_read = now;
  const int64_t ts = now_ns();
  const LineSplitter::Emit emit = [&](std::string_view text, bool partial) {
    outbox.add(stream.name, text, ts, partial);
  };
  if (count <= 0) {
    stream.splitter.finish(emit);
    stream.pending_since.reset();
    stream.fd = -1;  // the launcher closes it
    return;
  }
  stream.splitter.feed({buffer.data(), static_cast<size_t>(count)}, emit);
  if (!stream.splitter.has_pending()) {
    stream.pending_since.reset();
  } else if (!stream.pending_since) {
    stream.pending_since = now;
  }
}

void Session::State::reap() {
  signalfd_siginfo seen{};
  while (::read(child_fd, &seen, sizeof seen) > 0) {
  }
  for (;;) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return;
    if (!launcher || pid != launcher->pid() || stage != Stage::running || job_exited) continue;
    job_exited = true;
    exited_at = Steady::now();
    ending.wait_status = status;
  }
}

void Session::State::stop(seconds grace, Steady::time_point now) {
  (void)::kill(-launcher->pid(), SIGTERM);
  kill_at = now + grace;
}

void Session::State::keep_time(Steady::time_point now) {
  if (!job_exited && deadline && now >= *deadline && !ending.cancelled && !ending.timed_out) {
    ending.timed_out = true;
    stop(options.timeout_grace, now);
  }
  if (kill_at && now >= *kill_at && !job_exited) {
    surroundings.kill_everything(launcher->pid());
    kill_at.reset();
  }
  if (now >= next_look && !job_exited) {
    next_look = now + kTick;
    if (surroundings.disk_full()) ending.disk_full = true;
  }
}

void Session::State::end_if_over(Steady::time_point now) {
  if (!job_exited) return;
  const auto streams_ended = [this] { return streams[0].fd < 0 && streams[1].fd < 0; };
  if (!leftovers_killed && (streams_ended() || now >= *exited_at + options.leftover_grace)) {
    surroundings.kill_everything(launcher->pid());  // what the job left running ends with it
    leftovers_killed = true;
    last_read = now;
  }
  // With everybody dead the pipes end by themselves, once what is in them has been read.
  if (leftovers_killed && !outbox.full() && now >= last_read + kSilenceMax) {
    for (Stream& stream : streams) stream.fd = -1;
  }
  if (!streams_ended()) return;
  ending.out_of_memory = surroundings.out_of_memory();
  ending.disk_full = ending.disk_full || surroundings.disk_full();
  outcome = classify(ending);
  stage = Stage::reporting;
  give_up_at = now + options.report_time_max;
}

}  // namespace nimbus::guest
