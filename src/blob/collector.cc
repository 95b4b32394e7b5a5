#include "blob/collector.h"

#include <set>

namespace nimbus::blob {
namespace {

constexpr int kPage = 256;

using Blobs = std::vector<BlobInfo>;
using ReadBlobs = std::function<Result<Blobs>(db::Transaction&)>;

}  // namespace

Task<Result<void>> Collector::forget(Digest digest) {
  std::function<Result<bool>(db::Transaction&)> work =
      [digest](db::Transaction& tx) -> Result<bool> {
    TRY(forget_in(tx, digest));
    return true;
  };
  CO_TRY(co_await database_.write<bool>(std::move(work)));
  co_return Result<void>();
}

Task<Result<bool>> Collector::remove(BlobInfo blob) {
  const auto removal = store_.pins().begin_removal(blob.digest);
  if (!removal) co_return false;
  std::function<Result<bool>(db::Transaction&)> condemn =
      [blob, now = clock_.now()](db::Transaction& tx) { return condemn_in(tx, blob, now); };
  CO_TRY_ASSIGN(const bool condemned, co_await database_.write<bool>(std::move(condemn)));
  if (!condemned) co_return false;
  CO_TRY(co_await store_.remove(blob.digest));
  CO_TRY(co_await forget(blob.digest));
  co_return true;
}

Task<Result<Collected>> Collector::collect(Duration grace) {
  Collected collected;
  const Time before = clock_.now() - grace;
  std::set<Digest> left;  // those that could not be removed this time
  for (;;) {
    const int limit = kPage + static_cast<int>(left.size());
    ReadBlobs work = [before, limit](db::Transaction& tx) { return garbage_in(tx, before, limit); };
    CO_TRY_ASSIGN(const Blobs garbage, co_await database_.read<Blobs>(std::move(work)));
    bool progress = false;
    for (const BlobInfo& blob : garbage) {
      if (left.contains(blob.digest)) continue;
      CO_TRY_ASSIGN(const bool removed, co_await remove(blob));
      if (!removed) left.insert(blob.digest);
      progress = true;
      collected.blobs += removed ? 1 : 0;
      collected.bytes += removed ? blob.size : 0;
    }
    if (!progress) co_return collected;
  }
}

Task<Result<Collected>> Collector::sweep(Duration grace) {
  Collected collected;
  const Time before = clock_.now() - grace;
  std::optional<Digest> after;
  for (;;) {
    CO_TRY_ASSIGN(const auto page, co_await store_.list(after, kPage));
    if (page.empty()) co_return collected;
    after = page.back().digest;
    ReadBlobs work = [page](db::Transaction& tx) { return unknown_in(tx, page); };
    CO_TRY_ASSIGN(const Blobs unknown, co_await database_.read<Blobs>(std::move(work)));
    for (const BlobInfo& blob : unknown) {
      const auto stored = co_await store_.stored_at(blob.digest);
      if (!stored || *stored > before) continue;
      CO_TRY_ASSIGN(const bool removed, co_await remove(blob));
      collected.blobs += removed ? 1 : 0;
      collected.bytes += removed ? blob.size : 0;
    }
  }
}

Task<Result<bool>> Collector::take_out(BlobInfo blob, const LossBook& losses, bool keep_aside) {
  const auto removal = store_.pins().begin_removal(blob.digest);
  if (!removal) co_return false;
  std::function<Result<int64_t>(db::Transaction&)> lose =
      [blob, &losses, now = clock_.now()](db::Transaction& tx) {
        return losses.lose_in(tx, blob, now);
      };
  CO_TRY(co_await database_.write<int64_t>(std::move(lose)));
  if (keep_aside) {
    CO_TRY(co_await store_.quarantine(blob.digest));
  } else {
    CO_TRY(co_await store_.remove(blob.digest));
  }
  CO_TRY(co_await forget(blob.digest));
  co_return true;
}

}  // namespace nimbus::blob
