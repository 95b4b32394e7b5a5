// The last mebibyte a guest wrote to its console, in a file mapped into memory: it is bounded, and
// it survives this program. Space is reserved when it is made, so that a full disk is an error then
// and not a fault later.
//
// Threads: one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace nimbus::vm {

class ConsoleRing {
 public:
  // Opens the file, or makes it when it is absent. corrupt: it is something else.
  static Result<ConsoleRing> open(const std::string& path);
  ConsoleRing(ConsoleRing&& other) noexcept;
  ConsoleRing& operator=(ConsoleRing&&) = delete;
  ~ConsoleRing();

  void append(std::string_view bytes);
  std::string tail(size_t bytes_max) const;

 private:
  struct Layout;
  explicit ConsoleRing(Layout* layout) : layout_(layout) {}
  Layout* layout_;
};

}  // namespace nimbus::vm
