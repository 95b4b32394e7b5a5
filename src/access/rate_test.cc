#include <doctest/doctest.h>

#include "access/peer_limiter.h"
#include "access/token_bucket.h"
#include "base/fake_clock.h"

using namespace nimbus;
using namespace nimbus::access;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {
constexpr BucketRate kRate{2.0, 5.0};
const Time kStart = from_us(1'000'000'000);
}  // namespace

TEST_CASE("a full bucket grants its capacity at once, then one per refill") {
  Bucket bucket = full_bucket(kRate, kStart);
  for (int i = 0; i < 5; ++i) {
    const BucketTake granted = take(bucket, kRate, kStart);
    CHECK(granted.granted);
    bucket = granted.bucket;
  }
  const BucketTake refused = take(bucket, kRate, kStart);
  CHECK_FALSE(refused.granted);
  CHECK(refused.retry_after == milliseconds(500));
  CHECK(take(refused.bucket, kRate, kStart + refused.retry_after).granted);
}

TEST_CASE("a bucket never holds more than its capacity") {
  CHECK_EQ(refill({1, kStart}, kRate, kStart + seconds(3600)).tokens, 5.0);
}

TEST_CASE("a clock that jumps back refills nothing and takes nothing away") {
  const Bucket bucket = refill({3, kStart}, kRate, kStart - seconds(3600));
  CHECK_EQ(bucket.tokens, 3.0);
  CHECK(bucket.updated_at == kStart - seconds(3600));
}

TEST_CASE("a cost above the capacity is never granted") {
  CHECK_FALSE(take(full_bucket(kRate, kStart), kRate, kStart, 6).granted);
}

TEST_CASE("many small refills add up to the same as one") {
  Bucket bucket{0, kStart};
  for (int i = 1; i <= 1000; ++i) bucket = refill(bucket, kRate, kStart + milliseconds(i));
  CHECK(take(bucket, kRate, kStart + seconds(1), 2).granted);
}

TEST_CASE("a bucket without refill says to wait long and does not overflow") {
  const BucketTake refused = take({0, kStart}, {0, 1}, kStart);
  CHECK_FALSE(refused.granted);
  CHECK(refused.retry_after > seconds(0));
}

TEST_CASE("one address is limited while another is not") {
  FakeClock clock;
  PeerLimiter limiter({1.0, 2.0}, clock);
  CHECK_FALSE(limiter.take("192.0.2.1").has_value());
  CHECK_FALSE(limiter.exhausted("192.0.2.1").has_value());
  CHECK_FALSE(limiter.take("192.0.2.1").has_value());
  CHECK(limiter.take("192.0.2.1").has_value());
  CHECK(limiter.exhausted("192.0.2.1").has_value());
  CHECK_FALSE(limiter.take("192.0.2.2").has_value());
  clock.advance(seconds(1));
  CHECK_FALSE(limiter.take("192.0.2.1").has_value());
}

TEST_CASE("an IPv6 host cannot escape by changing the lower half of its address") {
  FakeClock clock;
  PeerLimiter limiter({1.0, 1.0}, clock);
  CHECK_FALSE(limiter.take("2001:db8::1").has_value());
  CHECK(limiter.take("2001:db8::2").has_value());
  CHECK_FALSE(limiter.take("2001:db8:0:1::1").has_value());
  CHECK_FALSE(limiter.take("192.0.2.1").has_value());
  CHECK(limiter.take("::ffff:192.0.2.1").has_value());
}

TEST_CASE("the limiter forgets the quietest address when it is full") {
  FakeClock clock;
  PeerLimiter limiter({0.001, 1.0}, clock, 3);
  for (const auto* peer : {"a", "b", "c"}) CHECK_FALSE(limiter.take(peer).has_value());
  CHECK(limiter.take("a").has_value());  // now `b` is the quietest
  CHECK_FALSE(limiter.take("d").has_value());
  CHECK_EQ(limiter.size(), 3);
  CHECK(limiter.take("a").has_value());
  CHECK_FALSE(limiter.take("b").has_value());  // forgotten, so full again
}
