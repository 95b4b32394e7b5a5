#include "guest/session.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>

#include "guest/launcher.h"
#include "guest/lines.h"

namespace nimbus::guest {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kPollWait{30};
constexpr seconds kPollTimeMax = kPollWait + seconds(15);
constexpr seconds kPostTimeMax{60};
constexpr milliseconds kRetryFirst{20};
constexpr milliseconds kRetryMax{1000};
constexpr milliseconds kTick{250};  // how often the disk is looked at while the job runs
constexpr seconds kSilenceMax{5};   // of pipes that stay open although everybody is dead
constexpr int kCannotRun = 126;
constexpr size_t kReadBytes = 64 * 1024;

int64_t now_ns() {
  timespec now{};
  (void)::clock_gettime(CLOCK_REALTIME, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// A connection with the waiting between its retries.
struct Channel {
  explicit Channel(const Address& gateway) : connection(gateway) {}

  bool ready(Steady::time_point now) const { return !connection.busy() && now >= retry_at; }
  void succeeded() { backoff = kRetryFirst; }
  void failed(Steady::time_point now, std::optional<int> retry_after_s = {}) {
    retry_at =
        now + (retry_after_s ? milliseconds(std::clamp(*retry_after_s, 0, 5) * 1000) : backoff);
    backoff = std::min(backoff * 2, kRetryMax);
  }

  Connection connection;
  Steady::time_point retry_at{};
  milliseconds backoff = kRetryFirst;
};

// One of the job's output streams.
struct Stream {
  model::LogStream name;
  int fd = -1;  // -1 once it has ended
  LineSplitter splitter;
  std::optional<Steady::time_point> pending_since;
};

enum class Stage { parked, running, reporting, done };

}  // namespace

struct Session::State {
  State(SessionOptions o, Surroundings& s)
      : options(std::move(o)), surroundings(s), main(options.gateway), side(options.gateway) {}

  SessionOptions options;
  Surroundings& surroundings;
  Stage stage = Stage::parked;
  Channel main;  // job poll, then lines, then the end
  Channel side;  // `started`, then signals
  int child_fd = -1;

  std::optional<Launcher> launcher;
  GuestJob job;
  bool asked_once = false;
  bool started_reported = false;
  Outbox outbox;
  std::array<Stream, 2> streams{Stream{model::LogStream::out, -1, {}, {}},
                                Stream{model::LogStream::err, -1, {}, {}}};

  Ending ending;
  bool job_exited = false;
  bool leftovers_killed = false;
  std::optional<Steady::time_point> deadline;    // SIGTERM then
  std::optional<Steady::time_point> kill_at;     // SIGKILL then
  std::optional<Steady::time_point> give_up_at;  // reporting ends then
  std::optional<Steady::time_point> exited_at;
  Steady::time_point next_look{};
  Steady::time_point last_read{};
  Outcome outcome;

  Result<Outcome> run();
  void wait_for_events();
  Steady::time_point next_wake(Steady::time_point now) const;

  void drive_main(Steady::time_point now);
  bool step_main(Steady::time_point now);
  void begin_main(Steady::time_point now);
  void take_main(const Answer& answer, Steady::time_point now);
  void drive_side(Steady::time_point now);
  void take_side(const Answer& answer, Steady::time_point now);

  void start_job(Steady::time_point now);
  void read_streams(Steady::time_point now);
  void read_stream(Stream& stream, Steady::time_point now);
  void reap();
  void keep_time(Steady::time_point now);
  void stop(seconds grace, Steady::time_point now);
  void end_if_over(Steady::time_point now);
  void add_system_line(std::string_view text) {
    outbox.add(model::LogStream::system, text, now_ns(), false);
  }
};

Session::Session(SessionOptions options, Surroundings& surroundings)
    : state_(std::make_unique<State>(std::move(options), surroundings)) {}
Session::~Session() = default;
Result<Outcome> Session::run() { return state_->run(); }

Result<Outcome> Session::State::run() {
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  ::signal(SIGPIPE, SIG_IGN);
  if (::sigprocmask(SIG_BLOCK, &child, nullptr) != 0)
    return fail(errno_error("sigprocmask", errno));
  child_fd = ::signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC);
  if (child_fd < 0) return fail(errno_error("signalfd", errno));
  launcher.emplace(TRY(Launcher::prepare(options.cgroup)));

  while (stage != Stage::done) {
    reap();
    const auto now = Steady::now();
    if (stage == Stage::running) {
      read_streams(now);
      keep_time(now);
      end_if_over(now);
    }
    drive_side(now);  // before the other: the end is reported only after the start is
    drive_main(now);
    drive_side(now);
    if (give_up_at && now >= *give_up_at && stage != Stage::done) {
      ::close(child_fd);
      return fail(Code::unavailable, "gateway did not take the end of the job in time");
    }
    if (stage != Stage::done) wait_for_events();
  }
  ::close(child_fd);
  return outcome;
}

Steady::time_point Session::State::next_wake(Steady::time_point now) const {
  auto wake = now + seconds(60);
  const auto by = [&](const std::optional<Steady::time_point>& at) {
    if (at) wake = std::min(wake, *at);
  };
  for (const Channel* channel : {&main, &side}) {
    if (channel->connection.busy()) by(channel->connection.deadline());
    if (!channel->connection.busy() && channel->retry_at > now) by(channel->retry_at);
  }
  for (const Stream& stream : streams) {
    if (stream.pending_since) by(*stream.pending_since + options.partial_after);
  }
  by(give_up_at);
  if (stage == Stage::running) {
    by(now + kTick);
    by(kill_at);
    if (!job_exited) by(deadline);
    if (exited_at) by(*exited_at + options.leftover_grace);
  }
  return wake;
}

void Session::State::wait_for_events() {
  std::array<pollfd, 5> waiting{};
  nfds_t count = 0;
  waiting[count++] = {child_fd, POLLIN, 0};
  for (const Channel* channel : {&main, &side}) {
    const short events = channel->connection.events();
    if (events != 0) waiting[count++] = {channel->connection.fd(), events, 0};
  }
  for (const Stream& stream : streams) {
    if (stream.fd >= 0 && !outbox.full()) waiting[count++] = {stream.fd, POLLIN, 0};
  }
  const auto now = Steady::now();
  const auto left = std::chrono::ceil<milliseconds>(next_wake(now) - now).count();
  (void)::poll(waiting.data(), count, static_cast<int>(std::max<int64_t>(left, 0)));
}

// --- the gateway's two connections ---------------------------------------------------------------

void Session::State::drive_main(Steady::time_point now) {
  // An answer usually makes the next request possible, so go on until one has to wait.
  do {
    if (main.ready(now)) begin_main(now);
  } while (step_main(now));
}

// True when an answer came and was taken.
bool Session::State::step_main(Steady::time_point now) {
  auto answer = main.connection.step(now);
  if (!answer) return false;
  if (!*answer) {
    main.failed(now);
    return false;
  }
  take_main(**answer, now);
  return true;
}

void Session::State::begin_main(Steady::time_point now) {
  if (stage == Stage::parked) {
    const bool first = !asked_once;
    main.connection.begin("GET", first ? "/guest/v1/job?wait_s=0" : "/guest/v1/job?wait_s=30", "",
                          now + kPollTimeMax);
  } else if (!outbox.empty()) {
    main.connection.begin("POST", "/guest/v1/lines", outbox.batch(), now + kPostTimeMax);
  } else if (stage == Stage::reporting && started_reported) {
    main.connection.begin("POST", "/guest/v1/finished", finished_body(outcome, outbox.last_seq()),
                          now + kPostTimeMax);
  }
}

void Session::State::take_main(const Answer& answer, Steady::time_point now) {
  if (stage == Stage::parked) {
    if (answer.status == 204) {
      if (!asked_once && options.rehearse) options.rehearse();
      asked_once = true;
      main.succeeded();
      return;
    }
    auto parsed = answer.status == 200 ? parse_job(answer.body)
                                       : fail(Code::unavailable, "gateway has no job yet");
    if (!parsed) {
      main.failed(now, answer.retry_after_s);
      return;
    }
    main.succeeded();
    job = std::move(*parsed);
    start_job(now);
    return;
  }
  if (answer.status != 200) {
    main.failed(now, answer.retry_after_s);
    return;
  }
  main.succeeded();
  if (!outbox.empty()) {
    const auto acked = parse_acked(answer.body);
    if (!acked || !outbox.acknowledge(*acked)) main.failed(now);
  } else if (stage == Stage::reporting) {
    stage = Stage::done;
  }
}

void Session::State::drive_side(Steady::time_point now) {
  for (;;) {
    if (stage == Stage::parked || stage == Stage::done) return;
    if (side.ready(now)) {
      if (!started_reported) {
        side.connection.begin("POST", "/guest/v1/started", "{}", now + kPostTimeMax);
      } else if (stage == Stage::running) {
        side.connection.begin("GET", "/guest/v1/signals?wait_s=30", "", now + kPollTimeMax);
      }
    }
    if (!side.connection.busy()) return;
    auto answer = side.connection.step(now);
    if (!answer) return;
    if (!*answer) {
      side.failed(now);
      return;
    }
    take_side(**answer, now);
  }
}

void Session::State::take_side(const Answer& answer, Steady::time_point now) {
  if (answer.status == 204) {
    side.succeeded();
    return;
  }
  if (answer.status != 200) {
    side.failed(now, answer.retry_after_s);
    return;
  }
  side.succeeded();
  if (!started_reported) {
    started_reported = true;
    return;
  }
  const auto signal = parse_signal(answer.body);
  if (!signal || !*signal) {
    side.failed(now);
    return;
  }
  if (job_exited || ending.cancelled || ending.timed_out) {
    side.retry_at = now + kRetryMax;  // told again until it is over
    return;
  }
  ending.cancelled = true;
  stop((*signal)->grace, now);
}

// --- the job -------------------------------------------------------------------------------------

void Session::State::start_job(Steady::time_point now) {
  surroundings.set_clock(job);
  stage = Stage::running;
  add_system_line(options.greeting);
  begin_main(now);  // the first line is on its way while all else is made ready
  (void)step_main(now);
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
