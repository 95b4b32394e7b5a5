// From the bytes that a job prints to the numbered lines that leave the VM.
//
// LineSplitter cuts one stream into lines of valid UTF-8 without NUL, of at most kLogLineBytesMax
// bytes each: ill-formed bytes and NUL become U+FFFD, longer lines are cut (`partial` on all but
// the last piece), a CR before the line end goes. Outbox numbers the lines of all streams from 1
// without gaps and keeps them, encoded, until the gateway has acknowledged them.
//
// Threads: one.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>

#include "model/log_line.h"

namespace nimbus::guest {

class LineSplitter {
 public:
  using Emit = std::function<void(std::string_view text, bool partial)>;

  void feed(std::string_view bytes, const Emit& emit);
  // Gives what waits for its line end as a partial line, but for the start of a UTF-8 sequence.
  void flush(const Emit& emit);
  // The stream has ended: what is left is a line.
  void finish(const Emit& emit);
  bool has_pending() const { return !pending_.empty(); }

 private:
  void emit_line(std::string_view raw, bool partial, const Emit& emit);
  std::string pending_;
};

constexpr size_t kBatchBytesMax = size_t{1} << 20;   // what the gateway takes at once
constexpr size_t kOutboxBytesMax = size_t{4} << 20;  // past it the job's pipes are left to fill up

class Outbox {
 public:
  // Numbers and keeps a line. `text` is valid UTF-8 without NUL.
  void add(model::LogStream stream, std::string_view text, int64_t ts_ns, bool partial);

  bool empty() const { return batches_.empty(); }
  bool full() const { return bytes_ >= kOutboxBytesMax; }
  // The oldest lines as NDJSON. The same bytes until they are acknowledged; not when empty.
  std::string_view batch();
  // Lines up to `seq` are safe with the gateway. False: that is less than the batch, which stays.
  bool acknowledge(int64_t seq);
  int64_t last_seq() const { return last_seq_; }

 private:
  struct Batch {
    std::string ndjson;
    int64_t last_seq = 0;
  };
  std::deque<Batch> batches_;
  bool in_flight_ = false;  // the first batch takes no more lines
  size_t bytes_ = 0;
  int64_t last_seq_ = 0;
};

}  // namespace nimbus::guest
