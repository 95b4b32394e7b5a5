#include "blob/store_watch.h"

#include "base/log.h"

namespace nimbus::blob {
namespace {

std::string reason(const Error& error) {
  switch (error.code) {
    case Code::unavailable: return "the bucket does not answer";
    case Code::insufficient_storage: return "the disk is full: uploads are refused";
    default: return "the disk cannot be written to";
  }
}

}  // namespace

// What the task shares with its owner: it ends when that is gone.
struct StoreWatch::Life {
  Life(StoreWatch& w, net::Loop& loop) : watch(&w), woken(loop) {}
  StoreWatch* watch;  // nullptr once stopped
  net::Notifier woken;
};

StoreWatch::StoreWatch(net::Loop& loop, Store& store, int64_t free_bytes_min, Metrics& metrics)
    : loop_(loop),
      store_(store),
      free_bytes_min_(free_bytes_min),
      up_(metrics.gauge("nimbus_blob_store_up", "Whether the blob store takes uploads (0 or 1).")),
      free_bytes_(metrics.gauge("nimbus_blob_free_bytes",
                                "Free bytes of the blob store's disk; 0 for a bucket.")) {}

void StoreWatch::start() {
  life_ = std::make_shared<Life>(*this, loop_);
  loop_.spawn(look_regularly(life_), "blob store watch");
}

void StoreWatch::stop() {
  if (life_ == nullptr) return;
  life_->watch = nullptr;
  life_->woken.notify_all();
  life_.reset();
}

Task<Result<StoreWatch::View>> StoreWatch::see() {
  CO_TRY_ASSIGN(const StoreSpace space, co_await store_.space());
  free_bytes_.set(static_cast<double>(space.free_bytes));
  CO_TRY(co_await store_.probe());
  const bool bounded = space.total_bytes > 0;
  if (bounded && space.free_bytes < free_bytes_min_) {
    co_return View{State::full,
                   "the disk has less free than blob.free_bytes_min: uploads are refused"};
  }
  co_return View{State::good, ""};
}

Task<void> StoreWatch::look() {
  auto seen = co_await see();
  View view;
  if (seen) {
    view = std::move(*seen);
  } else {
    const bool full = seen.error().code == Code::insufficient_storage;
    view = {full ? State::full : State::down, reason(seen.error())};
  }
  up_.set(view.state == State::good ? 1 : 0);
  if (view.state != view_.state && !seen) log_error("the blob store is not ready", seen.error());
  if (view.state == State::good && view_.state != State::good && view_.state != State::unknown) {
    log_info("the blob store is ready again");
  }
  view_ = std::move(view);
}

Task<void> StoreWatch::look_regularly(std::shared_ptr<Life> life) {
  while (life->watch != nullptr) {
    co_await life->watch->look();
    if (life->watch == nullptr) break;
    (void)co_await life->woken.wait(kStoreWatchEvery);
  }
}

}  // namespace nimbus::blob
