#include "guest/session.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <optional>

#include "guest/session_state.h"

namespace nimbus::guest {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kPollWait{30};
constexpr seconds kPollTimeMax = kPollWait + seconds(15);
constexpr seconds kPostTimeMax{60};

}  // namespace

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
    const auto age =
        std::chrono::duration_cast<std::chrono::milliseconds>(now - exited_at.value_or(now));
    main.connection.begin("POST", "/guest/v1/finished",
                          finished_body(outcome, outbox.last_seq(), age), now + kPostTimeMax);
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

// While the machine waits: a connection that is there already saves the start its making.
bool Session::State::wants_side() const { return asked_once && !side_opened; }

void Session::State::drive_side(Steady::time_point now) {
  for (;;) {
    if (stage == Stage::done || (stage == Stage::parked && !wants_side())) return;
    if (side.ready(now)) {
      if (stage == Stage::parked) {
        opening_side = true;
        side.connection.begin("GET", "/guest/v1/signals?wait_s=0", "", now + kPostTimeMax);
      } else if (!started_reported) {
        side.connection.begin("POST", "/guest/v1/started", "{}", now + kPostTimeMax);
      } else if (stage == Stage::running) {
        side.connection.begin("GET", "/guest/v1/signals?wait_s=30", "", now + kPollTimeMax);
      }
    }
    if (!side.connection.busy()) return;
    auto answer = side.connection.step(now);
    if (!answer) return;
    if (!*answer) {
      opening_side = false;
      side.failed(now);
      return;
    }
    take_side(**answer, now);
  }
}

void Session::State::take_side(const Answer& answer, Steady::time_point now) {
  if (opening_side) {  // whatever it says: there is a connection
    opening_side = false;
    side_opened = true;
    side.succeeded();
    return;
  }
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

}  // namespace nimbus::guest
