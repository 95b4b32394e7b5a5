// What a session is made of, for its two parts: session.cc (the poll loop and the gateway's two
// connections) and session_job.cc (the job's process and its output). Private to the session.
//
// Threads: one.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "guest/launcher.h"
#include "guest/lines.h"
#include "guest/session.h"

namespace nimbus::guest {

constexpr std::chrono::milliseconds kRetryFirst{20};
constexpr std::chrono::milliseconds kRetryMax{1000};
constexpr std::chrono::milliseconds kTick{
    250};  // how often the disk is looked at while the job runs

int64_t now_ns();  // the wall clock

// A connection with the waiting between its retries.
struct Channel {
  explicit Channel(const Address& gateway) : connection(gateway) {}

  bool ready(Steady::time_point now) const { return !connection.busy() && now >= retry_at; }
  void succeeded() { backoff = kRetryFirst; }
  void failed(Steady::time_point now, std::optional<int> retry_after_s = {}) {
    retry_at =
        now + (retry_after_s ? std::chrono::milliseconds(std::clamp(*retry_after_s, 0, 5) * 1000)
                             : backoff);
    backoff = std::min(backoff * 2, kRetryMax);
  }

  Connection connection;
  Steady::time_point retry_at{};
  std::chrono::milliseconds backoff = kRetryFirst;
};

// One of the job's output streams.
struct Stream {
  model::LogStream name;
  int fd = -1;  // -1 once it has ended
  LineSplitter splitter;
  std::optional<Steady::time_point> pending_since;
};

enum class Stage { parked, running, reporting, done };

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
  bool opening_side = false;  // the question on it is only asked to open it
  bool side_opened = false;
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
  bool wants_side() const;
  void drive_side(Steady::time_point now);
  void take_side(const Answer& answer, Steady::time_point now);

  void start_job(Steady::time_point now);
  void read_streams(Steady::time_point now);
  void read_stream(Stream& stream, Steady::time_point now);
  void reap();
  void keep_time(Steady::time_point now);
  void stop(std::chrono::seconds grace, Steady::time_point now);
  void end_if_over(Steady::time_point now);
  void add_system_line(std::string_view text) {
    outbox.add(model::LogStream::system, text, now_ns(), false);
  }
};

}  // namespace nimbus::guest
