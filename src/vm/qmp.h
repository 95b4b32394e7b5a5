// QEMU's control connection (QMP): commands and their answers in order, events as they come. A
// monitor that stops answering, or says what is not QMP, ends the connection.
//
// Threads: the loop's.
#pragma once

#include <boost/json/fwd.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/task.h"
#include "base/time.h"
#include "net/loop.h"
#include "os/unique_fd.h"

namespace nimbus::vm {

constexpr size_t kQmpLineBytesMax = 1 << 20;

class Qmp {
 public:
  // Adopts a connected socket and leads the connection through its greeting. `on_event` is called
  // with each event's name and data, also with those that come after the last command.
  // unavailable: no greeting within the time, or the monitor ended.
  using OnEvent = std::function<void(std::string_view name, const boost::json::object& data)>;
  static Task<Result<std::unique_ptr<Qmp>>> connect(net::Loop& loop, os::UniqueFd socket,
                                                    OnEvent on_event, Duration timeout);
  // Closes the connection; commands in progress fail. The monitor goes on.
  ~Qmp();

  // The answer's `return`. `fd` travels with the command, for getfd; -1 for none.
  // unavailable: the monitor ended or gave no answer within the time; internal: it refused, the
  // message carries its reason.
  Task<Result<boost::json::value>> call(std::string command, boost::json::object arguments,
                                        Duration timeout, int fd = -1);
  Task<Result<void>> run(std::string command,
                         Duration timeout);  // without arguments, answer unused

  // Returns once the monitor has closed the connection, so that its last events have been seen.
  Task<void> wait_closed(Duration timeout);

 private:
  struct State;
  std::shared_ptr<State> state_;
  explicit Qmp(std::shared_ptr<State> state);
  static Task<void> read_lines(std::shared_ptr<State> state);
};

}  // namespace nimbus::vm
