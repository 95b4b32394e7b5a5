// Removes the bytes that nobody needs: blobs without holds after a grace time, and bytes that the
// database does not know (a crash between an upload's commit and its hold). The database says first
// that a blob is going, then the bytes go, then its row: a crash in between is made good by the
// next round, and nobody can hold what is going.
//
// Threads: the loop's.
#pragma once

#include "base/clock.h"
#include "blob/catalog.h"
#include "blob/losses.h"
#include "blob/store.h"
#include "net/loop.h"

namespace nimbus::blob {

struct Collected {
  int64_t blobs = 0;
  int64_t bytes = 0;
};

class Collector {
 public:
  Collector(db::Database& database, Store& store, const Clock& clock)
      : database_(database), store_(store), clock_(clock) {}

  // Blobs whose last hold went longer ago than `grace`.
  Task<Result<Collected>> collect(Duration grace);
  // Bytes older than `grace` that no row names; the whole store is listed, page by page.
  Task<Result<Collected>> sweep(Duration grace);
  // Takes a rotten or missing blob out of use (losses.h) and puts its bytes aside. false: it is
  // being stored anew at this moment.
  Task<Result<bool>> take_out(BlobInfo blob, const LossBook& losses, bool keep_aside);

 private:
  // Condemns, removes, forgets. false: somebody holds or pins it.
  Task<Result<bool>> remove(BlobInfo blob);
  Task<Result<void>> forget(Digest digest);

  db::Database& database_;
  Store& store_;
  const Clock& clock_;
};

}  // namespace nimbus::blob
