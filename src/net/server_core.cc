#include "net/server_core.h"

#include <array>
#include <ctime>

#include "base/random.h"

namespace nimbus::net {

ServerCore::ServerCore(Loop& l, Router r, ServerOptions o)
    : loop(l),
      router(std::move(r)),
      options(std::move(o)),
      metrics(options.metrics),
      connection_closed(l),
      id_seed_(system_random().next()) {}

std::string_view ServerCore::date(Duration now) {
  if (now >= date_until_) {
    const std::time_t seconds = std::time(nullptr);
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    std::array<char, 40> text{};
    const size_t size =
        std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    date_.assign(text.data(), size);
    date_until_ = now + std::chrono::milliseconds(500);
  }
  return date_;
}

std::string ServerCore::next_request_id() {
  // SplitMix64: distinct for 2^64 requests, and not a plain count to people who read logs.
  uint64_t x = id_seed_ + ++id_count_ * 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  x ^= x >> 31;
  std::string id(16, '0');
  for (size_t i = 0; i < id.size(); ++i) id[i] = "0123456789abcdef"[(x >> (60 - 4 * i)) & 15];
  return id;
}

}  // namespace nimbus::net
