#include "blob/scrubber.h"

#include "base/log.h"

namespace nimbus::blob {

Task<Result<Scrubbed>> Scrubber::scrub(int count, int64_t bytes_per_second) {
  std::function<Result<std::vector<BlobInfo>>(db::Transaction&)> work =
      [after = after_, count](db::Transaction& tx) { return blobs_in(tx, after, count); };
  CO_TRY_ASSIGN(const auto blobs, co_await database_.read<std::vector<BlobInfo>>(std::move(work)));
  Scrubbed scrubbed;
  for (const BlobInfo& blob : blobs) {
    CO_TRY_ASSIGN(const Health health, co_await check(blob, bytes_per_second));
    ++scrubbed.blobs;
    scrubbed.lost += health == Health::good ? 0 : 1;
    after_ = blob.digest;
  }
  if (blobs.empty()) after_.reset();
  co_return scrubbed;
}

Task<Result<Health>> Scrubber::check(BlobInfo blob, int64_t bytes_per_second) {
  CO_TRY_ASSIGN(Health health, co_await store_.verify(blob.digest, bytes_per_second));
  if (health == Health::good) co_return health;
  // Once more, at full speed: it may have been removed or stored anew in between.
  CO_TRY_ASSIGN(health, co_await store_.verify(blob.digest, 0));
  if (health == Health::good) co_return health;
  std::function<Result<bool>(db::Transaction&)> work = [blob](db::Transaction& tx) -> Result<bool> {
    return TRY(find_blob_in(tx, blob.digest)).has_value();
  };
  CO_TRY_ASSIGN(const bool known, co_await database_.read<bool>(std::move(work)));
  if (!known) co_return Health::good;  // collected meanwhile
  const bool rotten = health == Health::rotten;
  CO_TRY_ASSIGN(const bool out, co_await collector_.take_out(blob, losses_, rotten));
  if (!out) co_return Health::good;
  log_error("a blob is lost",
            {{"digest", to_string(blob.digest)}, {"rotten", rotten}, {"bytes", blob.size}});
  co_return health;
}

}  // namespace nimbus::blob
