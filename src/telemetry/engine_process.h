// Keeps the embedded ClickHouse running: starts its process, and starts it again when it ends, at
// once the first time and with growing pauses while it keeps failing.
//
// Promises: one child at a time; it dies with this process (embedded_clickhouse.h); why it cannot
// run is known (`trouble`) and said once in the log.
//
// Threads: the loop's.
// Not here: whether it answers already (telemetry.cc pings it).
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>

#include "base/metrics.h"
#include "net/loop.h"

namespace nimbus::telemetry {

struct EngineProcessOptions {
  std::string program = "/proc/self/exe";  // what has the hidden command
  std::string directory;
  std::string socket;
  std::string library;
  Duration pause_min = std::chrono::milliseconds(100);
  Duration pause_max = std::chrono::seconds(30);
};

class EngineProcess {
 public:
  EngineProcess(net::Loop& loop, EngineProcessOptions options, Metrics& metrics);
  ~EngineProcess();

  void start();
  // SIGTERM, and SIGKILL when it takes too long. Not started again.
  Task<void> stop(Duration patience);
  // Ends a child that is there and does not work; it is started again.
  void kick();
  // Runs after each start and each end of the child.
  void on_change(std::function<void()> call);

  pid_t pid() const;            // 0: none runs now
  std::string trouble() const;  // why none runs, or why the last one ended; "" when all is well

 private:
  struct State;
  static Task<void> supervise(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace nimbus::telemetry
