// When repositories, manifests, tags and blobs were last used: gathered here and written a few
// seconds late, so that a pull costs no write. A crash loses those seconds, which moves nothing's
// end by more than that.
//
// Threads: the loop's.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/task.h"
#include "base/time.h"
#include "db/database.h"

namespace nimbus::registry {

constexpr size_t kUseNotesMax = 65'536;  // more are dropped until the next write

class UseNotes {
 public:
  // A manifest was pulled, by `tag` (may be "").
  void manifest_pulled(std::string_view repository, std::string_view digest, std::string_view tag);
  // A client was told that the blob is there and may rely on it.
  void blob_seen(std::string_view repository, std::string_view digest);
  // Writes what was gathered, as used at `now`.
  Task<Result<void>> write(db::Database& database, Time now);

 private:
  using Pairs = std::set<std::pair<std::string, std::string>>;
  struct Gathered {
    std::set<std::string> repositories;
    Pairs manifests;
    Pairs tags;
    Pairs blobs;
    size_t size() const {
      return repositories.size() + manifests.size() + tags.size() + blobs.size();
    }
  };
  static Result<void> write_in(db::Transaction& tx, const Gathered& gathered, Time now);
  Gathered gathered_;
};

}  // namespace nimbus::registry
