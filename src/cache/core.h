// What every part of the cache shares: the outside world it was given, its limits, its counters,
// and what it keeps in memory. Owned by Cache (cache.h), referred to by the rest.
//
// Threads: the loop's.
#pragma once

#include "access/authenticator.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/random.h"
#include "base/secret.h"
#include "blob/quota.h"
#include "blob/store.h"
#include "cache/signed_url.h"
#include "cache/use_log.h"
#include "db/database.h"
#include "net/loop.h"

namespace nimbus::cache {

struct CacheParts {
  net::Loop& loop;
  db::Database& database;
  blob::Store& store;
  blob::QuotaBook& quota;
  access::Authenticator& authenticator;
  const Clock& clock;
  Random& random;
  Metrics& metrics;
};

struct CacheOptions {
  Secret url_key;                                             // signs URLs
  Duration idle = std::chrono::hours(24 * 7);                 // entries nobody reads are removed
  Duration reservation_ttl = std::chrono::minutes(10);        // of uploads nobody continues
  Duration artifact_retention = std::chrono::hours(24 * 90);  // unless the client asks for less
  int64_t entry_bytes_max = int64_t{10} << 30;
};

// Counters by protocol ("actions", "plain", "artifacts").
struct Traffic {
  explicit Traffic(Metrics& metrics, const std::string& protocol);
  Counter& hits;
  Counter& misses;
  Counter& read_bytes;
  Counter& written_bytes;
};

struct Core {
  Core(const CacheParts& p, CacheOptions o)
      : parts(p),
        options(std::move(o)),
        signer(options.url_key),
        uses(p.database),
        actions(p.metrics, "actions"),
        plain(p.metrics, "plain"),
        artifacts(p.metrics, "artifacts") {}

  Time now() const { return parts.clock.now(); }

  CacheParts parts;
  CacheOptions options;
  UrlSigner signer;
  UseLog uses;
  Traffic actions;
  Traffic plain;
  Traffic artifacts;
};

}  // namespace nimbus::cache
