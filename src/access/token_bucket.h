// Token bucket arithmetic, pure, so that a bucket may live in memory or in a database row as
// (tokens, updated_at). A clock that jumps back refills nothing; one that jumps ahead fills the
// bucket at most once.
#pragma once

#include "base/time.h"

namespace nimbus::access {

struct BucketRate {
  double per_second = 1;
  double capacity = 1;  // the largest burst
};

struct Bucket {
  double tokens = 0;
  Time updated_at;
};

struct BucketTake {
  Bucket bucket;  // to be stored, whatever the outcome
  bool granted = false;
  Duration retry_after{0};  // when not granted: until `cost` tokens will be there
};

// A bucket nobody has used yet: full.
Bucket full_bucket(const BucketRate& rate, Time now);
Bucket refill(const Bucket& bucket, const BucketRate& rate, Time now);
// Takes `cost` tokens or none. A cost above the capacity is never granted.
BucketTake take(const Bucket& bucket, const BucketRate& rate, Time now, double cost = 1);

}  // namespace nimbus::access
