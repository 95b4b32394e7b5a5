#include "registry/read_cache.h"

#include <doctest/doctest.h>

#include "base/fake_clock.h"

using namespace nimbus;
using namespace nimbus::registry;

namespace {

CachedContent content(std::string bytes) {
  return {"sha256:x", "text/plain", std::make_shared<const std::string>(std::move(bytes))};
}

}  // namespace

TEST_CASE("what was read is remembered for a second") {
  FakeClock clock;
  ReadCache cache(clock);
  cache.remember("acme/app", "v1", content("a"), cache.generation());
  REQUIRE(cache.find("acme/app", "v1") != nullptr);
  CHECK_EQ(*cache.find("acme/app", "v1")->bytes, "a");
  CHECK(cache.find("acme/ap", "p\nv1") == nullptr);
  clock.advance(kCacheTrust);
  CHECK(cache.find("acme/app", "v1") == nullptr);
}

TEST_CASE("a change forgets the repository and no other") {
  FakeClock clock;
  ReadCache cache(clock);
  cache.remember("acme/app", "v1", content("a"), cache.generation());
  cache.remember("acme/app2", "v1", content("b"), cache.generation());
  cache.forget("acme/app");
  CHECK(cache.find("acme/app", "v1") == nullptr);
  CHECK(cache.find("acme/app2", "v1") != nullptr);
}

TEST_CASE("what was read before a change is not remembered after it") {
  FakeClock clock;
  ReadCache cache(clock);
  const uint64_t before = cache.generation();
  cache.forget("acme/app");
  cache.remember("acme/app", "v1", content("old"), before);
  CHECK(cache.find("acme/app", "v1") == nullptr);
}

TEST_CASE("memory is bounded: what was not asked for longest goes") {
  FakeClock clock;
  ReadCache cache(clock);
  const size_t count = kCachedBytesMax / kCachedEntryBytesMax + 1;
  for (size_t i = 0; i < count; ++i) {
    cache.remember("acme/app", std::to_string(i), content(std::string(kCachedEntryBytesMax, 'x')),
                   cache.generation());
  }
  CHECK(cache.find("acme/app", "0") == nullptr);
  CHECK(cache.find("acme/app", std::to_string(count - 1)) != nullptr);
  cache.remember("acme/app", "big", content(std::string(kCachedEntryBytesMax + 1, 'x')),
                 cache.generation());
  CHECK(cache.find("acme/app", "big") == nullptr);
}
