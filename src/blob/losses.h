// What happens to the entries of a blob whose bytes are rotten or gone: whoever holds it gives it
// up, so that it reads as absent from then on and can be stored anew.
//
// Threads: registered before the loop runs; `lose_in` on a database thread.
#pragma once

#include <functional>
#include <map>

#include "blob/catalog.h"

namespace nimbus::blob {

// Drops the entry that this hold belongs to, with all of its holds.
using DropEntry =
    std::function<Result<void>(db::Transaction& tx, const Hold& hold, const Digest& digest)>;

class LossBook {
 public:
  void on_loss(Use use, DropEntry drop) { drops_[use] = std::move(drop); }
  // Drops every entry of the blob and condemns it; how many holds there were.
  Result<int64_t> lose_in(db::Transaction& tx, const BlobInfo& blob, Time now) const;

 private:
  std::map<Use, DropEntry> drops_;
};

}  // namespace nimbus::blob
