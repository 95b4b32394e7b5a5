// Finds the end of an HTTP head in bytes that arrive in pieces, and refuses what lenient parsers
// accept and proxies disagree about: a line feed without its carriage return, a carriage return
// alone, NUL, and folded header lines. Nothing of this reaches the parser behind it.
//
// Threads: one connection's.
#pragma once

#include <cstddef>
#include <string_view>

namespace nimbus::net {

class HeadScan {
 public:
  enum class State { more, complete, bad };
  // `bytes` is everything received since the head's begin, grown since the last call.
  State feed(std::string_view bytes);
  size_t end() const { return end_; }  // of the head, once complete
  bool first_line_done() const { return lines_ > 0; }

 private:
  size_t line_start_ = 0;
  size_t searched_ = 0;
  size_t lines_ = 0;
  size_t end_ = 0;
};

}  // namespace nimbus::net
