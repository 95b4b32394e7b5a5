// What the registry's parts share: the stores, the credentials, the clock, the counters. Private to
// this folder. Threads: the loop's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "access/authenticator.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "blob/quota.h"
#include "blob/store.h"
#include "db/database.h"
#include "net/loop.h"
#include "registry/grant.h"
#include "registry/options.h"
#include "registry/read_cache.h"
#include "registry/use_notes.h"

namespace nimbus::registry {

struct Counters {
  explicit Counters(Metrics& metrics);
  Counter& blobs_pulled;
  Counter& manifests_pulled;
  Counter& blobs_missed;
  Counter& manifests_missed;
  Counter& bytes_received;
  Counter& bytes_sent;
  Counter& blobs_pushed;
  Counter& manifests_pushed;
  Counter& blobs_mounted;
  Gauge& open_uploads;
};

struct Core {
  net::Loop& loop;
  db::Database& database;
  blob::Store& store;
  blob::QuotaBook& quota;
  access::Authenticator& authenticator;
  const Clock& clock;
  Options options;
  TokenMint mint;
  Counters counters;
  ReadCache cache;
  UseNotes uses;
};

}  // namespace nimbus::registry
