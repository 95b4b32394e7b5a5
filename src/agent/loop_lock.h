// Mutual exclusion between Tasks of one loop, over suspensions. Threads: the loop's.
#pragma once

#include <utility>

#include "net/loop.h"

namespace nimbus::agent {

class LoopLock {
 public:
  explicit LoopLock(net::Loop& loop) : freed_(loop) {}

  class Held {
   public:
    explicit Held(LoopLock& lock) : lock_(&lock) {}
    Held(Held&& other) noexcept : lock_(std::exchange(other.lock_, nullptr)) {}
    Held& operator=(Held&&) = delete;
    ~Held() { release(); }
    void release() {
      if (lock_ == nullptr) return;
      lock_->held_ = false;
      lock_->freed_.notify_all();
      lock_ = nullptr;
    }

   private:
    LoopLock* lock_;
  };

  Task<Held> take() {
    while (held_) (void)co_await freed_.wait(std::chrono::hours(1));
    held_ = true;
    co_return Held(*this);
  }

 private:
  net::Notifier freed_;
  bool held_ = false;
};

}  // namespace nimbus::agent
