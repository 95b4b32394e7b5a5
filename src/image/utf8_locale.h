// libarchive converts file names through the C locale of the calling thread, and in "C" it loses
// every name that is not ASCII. While one of these lives, the thread's locale is C.UTF-8.
#pragma once

#include <clocale>

namespace nimbus::image {

class Utf8Locale {
 public:
  Utf8Locale() : previous_(uselocale(utf8())) {}
  ~Utf8Locale() { uselocale(previous_); }
  Utf8Locale(const Utf8Locale&) = delete;
  Utf8Locale& operator=(const Utf8Locale&) = delete;

 private:
  static locale_t utf8() {
    static const locale_t locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    return locale;  // null when the system lacks it: uselocale then changes nothing
  }
  locale_t previous_;
};

}  // namespace nimbus::image
