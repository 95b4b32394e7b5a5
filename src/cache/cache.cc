#include "cache/cache.h"

#include "base/log.h"
#include "cache/actions_entries.h"
#include "cache/artifact_routes.h"
#include "cache/artifact_service.h"
#include "cache/blob_routes.h"
#include "cache/cache_service.h"
#include "cache/list_routes.h"
#include "cache/plain_routes.h"
#include "cache/rest_routes.h"
#include "cache/upload_book.h"

namespace nimbus::cache {
namespace {

constexpr Duration kSweepEvery = std::chrono::seconds(5);
constexpr Duration kExpireEvery = std::chrono::minutes(1);
constexpr int kRemovedAtOnce = 500;
constexpr int kEvictedAtOnce = 100;

}  // namespace

struct Cache::State {
  State(const CacheParts& p, CacheOptions o)
      : core(p, std::move(o)),
        uploads(core),
        entries(core, uploads),
        service(core, entries),
        rest(core, entries),
        artifacts(core, uploads),
        blobs(core, uploads),
        plain(core),
        lists(core),
        artifact_lists(core),
        expired(p.metrics.counter("nimbus_cache_expired_entries_total",
                                  "Entries and artifacts removed because of their age.")),
        evicted(p.metrics.counter("nimbus_cache_evicted_entries_total",
                                  "Entries removed to make room.")),
        evicted_bytes(p.metrics.counter("nimbus_cache_evicted_bytes_total",
                                        "Bytes of usage freed by evictions.")),
        open_uploads(
            p.metrics.gauge("nimbus_cache_open_uploads", "Uploads that are not complete yet.")) {}

  Task<Result<int64_t>> evict(blob::EvictionRequest request);
  Task<Result<int64_t>> remove_old();

  Core core;
  UploadBook uploads;
  ActionsEntries entries;
  CacheService service;
  RestRoutes rest;
  ArtifactService artifacts;
  BlobRoutes blobs;
  PlainRoutes plain;
  ListRoutes lists;
  ArtifactRoutes artifact_lists;
  Counter& expired;
  Counter& evicted;
  Counter& evicted_bytes;
  Gauge& open_uploads;
  Duration expired_at{0};
  bool failing = false;
  bool stopped = false;
};

namespace {

struct Evicted {
  int64_t entries = 0;
  int64_t freed = 0;  // usage
};

Result<int64_t> usage_of(db::Transaction& tx, const blob::EvictionRequest& request) {
  if (request.repo.empty()) {
    return TRY(blob::org_usage_in(tx, request.org, blob::Use::cache)).bytes;
  }
  return TRY(blob::repo_usage_in(tx, request.org, request.repo, blob::Use::cache)).bytes;
}

// One step: the least recently used, until enough usage is freed. A blob that several entries share
// is free only with the last of them, so usage is measured, not added up.
Result<Evicted> evict_some(db::Transaction& tx, const blob::EvictionRequest& request, Time now) {
  const int64_t before = TRY(usage_of(tx, request));
  Evicted evicted;
  for (const Entry& entry : TRY(least_used_in(tx, request.org, request.repo, kEvictedAtOnce))) {
    TRY(remove_entry_in(tx, entry, now));
    ++evicted.entries;
    evicted.freed = before - TRY(usage_of(tx, request));
    if (evicted.freed >= request.bytes) break;
  }
  return evicted;
}

}  // namespace

Task<Result<int64_t>> Cache::State::evict(blob::EvictionRequest request) {
  CO_TRY(co_await core.uses.flush());  // so that age is what it is
  int64_t freed = 0;
  while (freed < request.bytes) {
    blob::EvictionRequest rest = request;
    rest.bytes -= freed;
    std::function<Result<Evicted>(db::Transaction&)> work =
        [rest, now = core.now()](db::Transaction& tx) { return evict_some(tx, rest, now); };
    CO_TRY_ASSIGN(const Evicted some, co_await core.parts.database.write<Evicted>(std::move(work)));
    if (some.entries == 0) break;
    freed += some.freed;
    evicted.add(static_cast<double>(some.entries));
    evicted_bytes.add(static_cast<double>(some.freed));
    log_info("cache entries evicted",
             {{"org", request.org}, {"entries", some.entries}, {"bytes", some.freed}});
  }
  co_return freed;
}

// One step of expiry; how many entries and artifacts went.
Task<Result<int64_t>> Cache::State::remove_old() {
  const Time now = core.now();
  std::function<Result<int64_t>(db::Transaction&)> work =
      [now, idle_since = now - core.options.idle](db::Transaction& tx) -> Result<int64_t> {
    int64_t removed = 0;
    for (const Entry& entry : TRY(idle_entries_in(tx, idle_since, kRemovedAtOnce))) {
      TRY(remove_entry_in(tx, entry, now));
      ++removed;
    }
    for (const Artifact& artifact : TRY(expired_artifacts_in(tx, now, kRemovedAtOnce))) {
      TRY(remove_artifact_in(tx, artifact, now));
      ++removed;
    }
    return removed;
  };
  co_return co_await core.parts.database.write<int64_t>(std::move(work));
}

Cache::Cache(const CacheParts& parts, CacheOptions options)
    : state_(std::make_shared<State>(parts, std::move(options))) {
  parts.quota.set_evict(blob::Use::cache, [state = state_.get()](blob::EvictionRequest request) {
    return state->evict(std::move(request));
  });
}

Cache::~Cache() { stop(); }

void Cache::add_routes(net::Router& router) {
  state_->service.add_to(router);
  state_->rest.add_to(router);
  state_->artifacts.add_to(router);
  state_->blobs.add_to(router);
  state_->plain.add_to(router);
  state_->lists.add_to(router);
  state_->artifact_lists.add_to(router);
}

void Cache::start() {
  // A function, not a closure: the coroutine must own what it uses.
  const auto run = [](Cache* cache, std::shared_ptr<State> state) -> Task<void> {
    while (!state->stopped) {
      co_await state->core.parts.loop.sleep(kSweepEvery);
      if (!state->stopped) co_await cache->sweep();
    }
  };
  state_->core.parts.loop.spawn(run(this, state_), "cache sweeper");
}

void Cache::stop() { state_->stopped = true; }

Task<void> Cache::flush() {
  const auto state = state_;
  const auto flushed = co_await state->core.uses.flush();
  state->failing = !flushed.has_value();
  if (!flushed) log_warn("noting uses of cache entries", {{"error", flushed.error().message}});
}

Task<void> Cache::sweep() {
  const auto state = state_;
  co_await flush();
  const int expired = state->uploads.expire();
  const int given_up = expired + co_await state->uploads.give_up_ended();
  if (given_up > 0) log_info("abandoned uploads given up", {{"uploads", given_up}});
  state->open_uploads.set(static_cast<double>(state->uploads.size()));
  const Duration now = state->core.parts.clock.steady();
  if (now - state->expired_at < kExpireEvery) co_return;
  state->expired_at = now;
  while (!state->stopped) {
    const auto removed = co_await state->remove_old();
    if (!removed) log_warn("removing old cache entries", {{"error", removed.error().message}});
    if (!removed || *removed == 0) co_return;
    state->expired.add(static_cast<double>(*removed));
  }
}

Cache::Status Cache::status() const { return {state_->uploads.size(), state_->failing}; }

}  // namespace nimbus::cache
