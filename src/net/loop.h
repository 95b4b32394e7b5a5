// The event loop: one thread that runs every Task of a process, with timers and a bridge to threads
// that may block. Code on the loop shares data without locks and never blocks.
//
// Threads: `post`, `stop` any; the rest on the loop, or before `run`.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "base/task.h"
#include "base/time.h"

namespace boost::asio {
class io_context;
class thread_pool;
}  // namespace boost::asio

namespace nimbus::net {

class Loop {
 public:
  explicit Loop(int blocking_threads = 4);
  ~Loop();

  void run();   // until `stop`, or nothing is left to do
  void stop();  // any thread
  void post(std::function<void()> call);
  // Destroys every task where it waits, for good: what it holds is given back while the objects it
  // refers to still live. Call it once `run` has returned, before those objects end; the loop
  // cannot run afterwards. Blocking calls under way are waited for.
  void end_tasks();

  // Starts a Task nobody awaits. An exception that leaves it is a bug: logged with `name`, abort.
  void spawn(Task<void> task, std::string_view name);

  Task<void> sleep(Duration time);
  // Runs `call` on a thread made for blocking work; the caller resumes on the loop.
  Task<void> run_blocking(std::function<void()> call);
  template <typename T>
  Task<T> blocking(std::function<T()> call) {
    std::optional<T> value;
    std::function<void()> wrapped = [&value, &call] { value.emplace(call()); };
    co_await run_blocking(std::move(wrapped));
    co_return std::move(*value);
  }

  boost::asio::io_context& context();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// What long polls wait on: `wait` returns true after the next `notify_all`, false at the timeout.
// A notification that comes while nobody waits is not kept: look for work first, then wait, without
// a co_await in between. Belongs to the loop.
class Notifier {
 public:
  explicit Notifier(Loop& loop);
  ~Notifier();
  Task<bool> wait(Duration timeout);
  void notify_all();
  size_t waiting() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace nimbus::net
