#include "blob/upkeep.h"

#include "base/log.h"

namespace nimbus::blob {
namespace {

constexpr Duration kTidyEvery = std::chrono::minutes(1);
constexpr int kTidyRoundsPerSweep = 6 * 60;
constexpr Duration kScrubPause = std::chrono::hours(1);  // between two rounds
constexpr Duration kScrubRetry = std::chrono::minutes(1);

template <typename T>
void tell(std::string_view what, const Result<T>& result) {
  if (!result) log_warn(what, {{"why", result.error().message}});
}

}  // namespace

// What the tasks share with their owner: they end when it is gone.
struct Upkeep::Life {
  Life(Upkeep& u, net::Loop& loop) : upkeep(&u), woken(loop) {}
  Upkeep* upkeep;  // nullptr once stopped
  net::Notifier woken;
};

Upkeep::Upkeep(net::Loop& loop, db::Database& database, Store& store, QuotaBook& quotas,
               const Clock& clock, Metrics& metrics, UpkeepOptions options)
    : loop_(loop),
      store_(store),
      quotas_(quotas),
      clock_(clock),
      options_(options),
      collector_(database, store, clock),
      scrubber_(database, store, collector_, losses_),
      collected_bytes_(
          metrics.counter("nimbus_blob_collected_bytes_total", "Bytes of garbage removed.")),
      evicted_bytes_(metrics.counter("nimbus_blob_evicted_bytes_total",
                                     "Bytes of usage freed above high marks.")),
      scrubbed_(metrics.counter("nimbus_blob_scrubbed_total", "Blobs read and compared.")),
      lost_(metrics.counter("nimbus_blob_lost_total", "Blobs found rotten or missing.")) {
  quotas.set_reclaim([this]() -> Task<void> {
    const auto collected = co_await collector_.collect(Duration(0));
    tell("garbage stays", collected);
    if (collected) collected_bytes_.add(static_cast<double>(collected->bytes));
  });
}

void Upkeep::start() {
  life_ = std::make_shared<Life>(*this, loop_);
  loop_.spawn(tidy_regularly(life_), "blob tidy");
  if (options_.scrub_bytes_per_second > 0) loop_.spawn(scrub_regularly(life_), "blob scrub");
}

void Upkeep::stop() {
  if (life_ == nullptr) return;
  life_->upkeep = nullptr;
  life_->woken.notify_all();
  life_.reset();
}

Task<void> Upkeep::tidy() {
  const auto evicted = co_await quotas_.trim();
  tell("eviction failed", evicted);
  if (evicted) evicted_bytes_.add(static_cast<double>(*evicted));
  const auto collected = co_await collector_.collect(options_.garbage_grace);
  tell("garbage stays", collected);
  if (collected) collected_bytes_.add(static_cast<double>(collected->bytes));
  const auto expired = co_await store_.expire_uploads(clock_.now() - options_.upload_idle);
  tell("idle uploads stay", expired);
}

Task<void> Upkeep::sweep() {
  const auto swept = co_await collector_.sweep(options_.garbage_grace);
  tell("sweeping the blob store failed", swept);
  if (!swept || swept->blobs == 0) co_return;
  collected_bytes_.add(static_cast<double>(swept->bytes));
  log_info("swept blobs that nobody knows", {{"blobs", swept->blobs}, {"bytes", swept->bytes}});
}

// The first round comes at once: a crash may have left something.
Task<void> Upkeep::tidy_regularly(std::shared_ptr<Life> life) {
  for (int round = 0; life->upkeep != nullptr; ++round) {
    co_await life->upkeep->tidy();
    if (life->upkeep == nullptr) break;
    if (round % kTidyRoundsPerSweep == 0) co_await life->upkeep->sweep();
    if (life->upkeep == nullptr) break;
    co_await life->woken.wait(kTidyEvery);
  }
}

Task<void> Upkeep::scrub_regularly(std::shared_ptr<Life> life) {
  Duration pause = kScrubRetry;
  for (;;) {
    co_await life->woken.wait(pause);
    if (life->upkeep == nullptr) break;
    Upkeep& upkeep = *life->upkeep;
    const auto scrubbed =
        co_await upkeep.scrubber_.scrub(1, upkeep.options_.scrub_bytes_per_second);
    tell("scrubbing failed", scrubbed);
    if (life->upkeep == nullptr) break;
    if (!scrubbed) {
      pause = kScrubRetry;
      continue;
    }
    upkeep.scrubbed_.add(static_cast<double>(scrubbed->blobs));
    upkeep.lost_.add(static_cast<double>(scrubbed->lost));
    // A round over many small blobs costs reads of the database too.
    pause = scrubbed->blobs == 0 ? kScrubPause : Duration(std::chrono::milliseconds(5));
  }
}

}  // namespace nimbus::blob
