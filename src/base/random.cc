#include "base/random.h"

#include <sys/random.h>

#include <cerrno>

#include "base/check.h"

namespace nimbus {
namespace {

class SystemRandom final : public Random {
 public:
  void fill(std::span<std::byte> bytes) override {
    while (!bytes.empty()) {
      const ssize_t got = getrandom(bytes.data(), bytes.size(), 0);
      if (got < 0 && errno == EINTR) continue;
      CHECK(got > 0);
      bytes = bytes.subspan(static_cast<size_t>(got));
    }
  }
};

}  // namespace

uint64_t Random::next() {
  uint64_t value = 0;
  fill(std::as_writable_bytes(std::span(&value, 1)));
  return value;
}

uint64_t Random::below(uint64_t limit) {
  CHECK(limit > 0);
  // Rejection keeps it uniform: values past the last whole multiple of `limit` are drawn again.
  const uint64_t usable = UINT64_MAX - UINT64_MAX % limit;
  uint64_t value = next();
  while (value >= usable) value = next();
  return value % limit;
}

std::string Random::bytes(size_t count) {
  std::string out(count, '\0');
  fill(std::as_writable_bytes(std::span(out.data(), out.size())));
  return out;
}

Random& system_random() {
  static SystemRandom random;
  return random;
}

void SeededRandom::fill(std::span<std::byte> bytes) {
  for (auto& byte : bytes) byte = static_cast<std::byte>(engine_() & 0xff);
}

}  // namespace nimbus
