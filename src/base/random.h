// Randomness is passed in. The system source is cryptographic (getrandom); the seeded one repeats
// itself and is for tests and simulations only. Threads: system_random any, seeded one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string>

namespace nimbus {

class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(std::span<std::byte> bytes) = 0;

  uint64_t next();                 // uniform over 64 bits
  uint64_t below(uint64_t limit);  // uniform in [0, limit); limit > 0
  std::string bytes(size_t count);
};

Random& system_random();

class SeededRandom final : public Random {
 public:
  explicit SeededRandom(uint64_t seed) : engine_(seed) {}
  void fill(std::span<std::byte> bytes) override;

 private:
  std::mt19937_64 engine_;
};

}  // namespace nimbus
