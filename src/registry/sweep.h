// What of a repository may go, decided and done in one transaction, so that it never meets a push
// half-way: a manifest that a push just named is kept, and a push that names a blob which just went
// is told so.
//
//   tags       by the repository's retention rule
//   manifests  that no tag points to, no index lists and that do not describe one which stays
//   blobs      that no manifest refers to, once nobody was told of them for the grace time
//
// Threads: a database thread, inside a transaction.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "blob/catalog.h"
#include "db/database.h"
#include "registry/options.h"

namespace nimbus::registry {

constexpr int64_t kSweptAtOnce = 500;  // of each kind, in one transaction

struct Swept {
  int64_t tags = 0;
  int64_t manifests = 0;
  int64_t blobs = 0;
  bool any() const { return tags + manifests + blobs > 0; }
};

struct RepositoryRow {
  int64_t id = 0;
  std::string name;
};
// Repositories after number `after`, in order.
Result<std::vector<RepositoryRow>> repositories_after(db::Transaction& tx, int64_t after,
                                                      int64_t limit);

const RetentionRule& rule_for(const Options& options, std::string_view repository);

Result<Swept> sweep_repository(db::Transaction& tx, const RepositoryRow& repository,
                               const Options& options, Time now);
// Removes the manifests nothing points to that nobody used since `before`.
Result<int64_t> remove_untagged(db::Transaction& tx, const RepositoryRow& repository, Time before,
                                Time now);
Result<int64_t> remove_unreferenced(db::Transaction& tx, const RepositoryRow& repository,
                                    Time before, Time now);
// Everything that is in the repository, and the repository.
Result<Swept> purge_repository(db::Transaction& tx, const RepositoryRow& repository, Time now);

// The bytes of `digest` are lost: what stands for them in the repository that `hold` belongs to
// goes, so that a client sees it absent and sends it again.
Result<void> drop_lost(db::Transaction& tx, const blob::Hold& hold, const blob::Digest& digest,
                       Time now);

// Removes the least recently used image of an org's mirrors or, elsewhere, the least recently used
// manifest that nothing points to; false when there is none. `repository` "" is any of the org's.
Result<bool> evict_oldest(db::Transaction& tx, std::string_view org, std::string_view repository,
                          Time now);

}  // namespace nimbus::registry
