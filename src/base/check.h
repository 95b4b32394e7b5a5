// CHECK is for bugs: a condition that the code itself guarantees. It stays on in release builds and
// aborts with the place and the text. It never judges input from outside; that is what Result is
// for.
#pragma once

namespace nimbus {
[[noreturn]] void check_failed(const char* file, int line, const char* condition);
}  // namespace nimbus

#define CHECK(condition)                                      \
  do {                                                        \
    if (!(condition)) [[unlikely]]                            \
      ::nimbus::check_failed(__FILE__, __LINE__, #condition); \
  } while (false)
