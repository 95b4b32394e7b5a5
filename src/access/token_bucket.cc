#include "access/token_bucket.h"

#include <algorithm>
#include <cmath>

namespace nimbus::access {
namespace {

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

// So that a rate of nearly nothing does not overflow into the past.
constexpr double kRetryAfterSecondsMax = 24.0 * 3600;

}  // namespace

Bucket full_bucket(const BucketRate& rate, Time now) { return {rate.capacity, now}; }

Bucket refill(const Bucket& bucket, const BucketRate& rate, Time now) {
  const double elapsed = std::max(0.0, seconds(now - bucket.updated_at));
  return {std::min(rate.capacity, std::max(0.0, bucket.tokens) + elapsed * rate.per_second), now};
}

BucketTake take(const Bucket& bucket, const BucketRate& rate, Time now, double cost) {
  BucketTake outcome{refill(bucket, rate, now)};
  // Refilling in many small steps may end a rounding error short of a whole token.
  constexpr double kRoundingError = 1e-9;
  if (outcome.bucket.tokens + kRoundingError >= cost) {
    outcome.bucket.tokens = std::max(0.0, outcome.bucket.tokens - cost);
    outcome.granted = true;
    return outcome;
  }
  const double wait = rate.per_second > 0 ? (cost - outcome.bucket.tokens) / rate.per_second
                                          : kRetryAfterSecondsMax;
  outcome.retry_after =
      Duration(static_cast<int64_t>(std::ceil(std::min(wait, kRetryAfterSecondsMax) * 1e6)));
  return outcome;
}

}  // namespace nimbus::access
