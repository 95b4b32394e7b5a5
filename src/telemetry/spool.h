// Blocks on disk, for the time when ClickHouse is away: appended and synced before they count, read
// back in order, whole or not at all. Segments are numbered files; the last one is written, the
// others are sealed and never change again, so replaying one twice gives the same blocks.
//
// Promises: what `append` returned success for survives any crash; a frame that a crash cut short,
// or a flipped bit spoiled, is left out and counted, and the frames before it are kept; the bytes
// on disk stay under the bound.
//
// Threads: reading any; the rest one at a time (the callers run it on blocking threads, in turn).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "telemetry/block.h"

namespace nimbus::telemetry {

constexpr uint64_t kSegmentBytesMax = uint64_t{32} << 20;

struct SpoolPlace {
  uint64_t segment = 0;
  uint64_t offset = 0;
};

class Spool {
 public:
  // Makes the directory when absent. internal: it cannot be read or written.
  static Result<Spool> open(std::string directory, uint64_t bytes_max);
  ~Spool();
  Spool(Spool&&) noexcept;
  Spool& operator=(Spool&&) = delete;

  // All blocks, one sync. too_large: the bound is reached. unavailable: the disk is full or broken;
  // nothing of it counts.
  Result<std::vector<SpoolPlace>> append(const std::vector<Block>& blocks);

  // The next append begins a new segment; the one before becomes sealed.
  void seal();
  std::vector<uint64_t> sealed() const;  // oldest first
  // Hands every whole block to `visit`, in order; how many frames were spoiled.
  Result<uint64_t> read(uint64_t segment,
                        const std::function<void(SpoolPlace, Block)>& visit) const;
  // One block. not_found: its segment is gone (replayed). corrupt: spoiled.
  Result<Block> read_at(SpoolPlace place) const;
  // A sealed segment whose blocks are all stored.
  Result<void> remove(uint64_t segment);
  // A block that ClickHouse will never take, kept aside for people (`dead/`), newest 64 MiB.
  void bury(const Block& block);

  uint64_t bytes() const { return bytes_; }

 private:
  Spool(std::string directory, uint64_t bytes_max);
  Result<void> open_segment();
  std::string path_of(uint64_t number, uint64_t mark) const;
  struct Opened {
    int fd;
    uint64_t mark;
  };
  Result<Opened> open_for_reading(uint64_t number) const;

  struct Segment {
    uint64_t number;
    uint64_t mark;
    uint64_t bytes;
  };
  std::string directory_;
  uint64_t bytes_max_;
  uint64_t bytes_ = 0;
  std::vector<Segment> segments_;  // by number; the last is being written when fd_ is open
  uint64_t next_number_ = 1;
  int fd_ = -1;
};

}  // namespace nimbus::telemetry
