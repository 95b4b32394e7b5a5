// A file of frames that waits out a server that is away: appended to and flushed before anything is
// acknowledged, read back in order, emptied when all of it has been delivered. Each frame carries a
// checksum; after a crash a torn last frame is cut off, and a frame whose bytes have changed ends
// the file with `corrupt`, never with wrong bytes.
//
// All spools of an agent draw on one SpoolBudget, with a bound per org below the agent's own, so
// one org's storm leaves room for the others.
//
// Threads: one at a time; append and read block on the disk.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace nimbus::agent {

class SpoolBudget {
 public:
  explicit SpoolBudget(uint64_t bytes_max) : bytes_max_(bytes_max) {}
  bool take(const std::string& org, uint64_t bytes);  // false: over a bound, nothing is taken
  void take_anyway(const std::string& org, uint64_t bytes);  // for what a restart finds
  void give_back(const std::string& org, uint64_t bytes);
  uint64_t used() const { return used_; }

 private:
  uint64_t bytes_max_;
  uint64_t used_ = 0;
  std::map<std::string, uint64_t> by_org_;
};

constexpr size_t kSpoolFrameBytesMax = size_t{16} << 20;

class Spool {
 public:
  // Opens or makes the file. What it holds already is read first.
  static Result<std::unique_ptr<Spool>> open(const std::string& path);
  ~Spool();

  bool empty() const { return read_at_ == end_; }
  uint64_t size_bytes() const { return end_ - read_at_; }

  // The frame is on the disk when this returns. unavailable: the disk is full; nothing was added.
  Result<void> append(std::string_view frame);
  // The oldest frame. corrupt: it is not what was written; `skip_all` goes on without.
  Result<std::string> read() const;
  // The oldest frame is done with. The file shrinks to nothing when it was the last.
  Result<void> pop();
  // Gives up what cannot be read; how many bytes that were.
  Result<uint64_t> skip_all();
  // Removes the file.
  void remove();

 private:
  Spool() = default;
  Result<void> find_end();
  Result<void> truncate(uint64_t size);

  std::string path_;
  int fd_ = -1;
  uint64_t read_at_ = 0;
  uint64_t end_ = 0;
  mutable uint64_t frame_size_ = 0;  // with header, of the frame that was read last
};

}  // namespace nimbus::agent
