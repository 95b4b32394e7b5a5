#include "blob/losses.h"

namespace nimbus::blob {

Result<int64_t> LossBook::lose_in(db::Transaction& tx, const BlobInfo& blob, Time now) const {
  const auto holds = TRY(holds_in(tx, blob.digest));
  for (const Hold& hold : holds) {
    const auto drop = drops_.find(hold.use);
    if (drop != drops_.end()) TRY(drop->second(tx, hold, blob.digest));
    TRY(release_in(tx, hold, blob.digest, now));
  }
  TRY(condemn_in(tx, blob, now));
  return static_cast<int64_t>(holds.size());
}

}  // namespace nimbus::blob
