// Who needs a blob's bytes although the database does not say so yet: an upload between its commit
// and its hold, a copy being made. A pinned blob is never collected, and one that is being removed
// cannot be pinned until it is gone, so bytes never vanish under somebody who just found them.
//
// Threads: the loop's. Pins may outlive the board.
#pragma once

#include <map>
#include <memory>
#include <set>

#include "blob/digest.h"
#include "net/loop.h"

namespace nimbus::blob {

class PinBoard {
  struct State;

 public:
  // Holds the blob while it lives. Moves; an empty one holds nothing.
  class Pin {
   public:
    Pin() = default;
    Pin(Pin&&) noexcept = default;
    Pin& operator=(Pin&& other) noexcept;
    ~Pin() { release(); }
    void release();

   private:
    friend class PinBoard;
    Pin(std::shared_ptr<State> state, Digest digest)
        : state_(std::move(state)), digest_(std::move(digest)) {}
    std::shared_ptr<State> state_;
    Digest digest_;
  };

  // The right to remove the blob: while it lives nobody can pin it.
  class Removal {
   public:
    Removal(Removal&& other) noexcept = default;
    Removal& operator=(Removal&&) = delete;
    ~Removal();

   private:
    friend class PinBoard;
    Removal(std::shared_ptr<State> state, Digest digest)
        : state_(std::move(state)), digest_(std::move(digest)) {}
    std::shared_ptr<State> state_;
    Digest digest_;
  };

  explicit PinBoard(net::Loop& loop);

  // Waits while the blob is being removed.
  Task<Pin> pin(Digest digest);
  // nullopt: somebody pins it, or removes it already.
  std::optional<Removal> begin_removal(const Digest& digest);
  bool pinned(const Digest& digest) const;

 private:
  std::shared_ptr<State> state_;
};

using Pin = PinBoard::Pin;

}  // namespace nimbus::blob
