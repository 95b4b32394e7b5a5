// What the database knows of blobs: who holds which, what an org and a repo use, and which blobs
// nobody needs any more. Every function takes the caller's transaction, so that an entry and its
// hold are one unit: either both are there after a crash, or neither.
//
// A hold says "`holder` of `org`/`repo` needs this blob for `use`"; the holder is the caller's text
// ("cache:123", "app@sha256:…"), unique within (org, repo, use, blob). Holds decide three things:
// - visibility: a blob is there for an org if that org holds it, never because it merely exists;
// - usage: an org pays for a blob once per use however many holds it has, a repo likewise;
// - garbage: a blob without holds is collected after a grace time (collector.h).
//
// Org and repo names compare without case. Threads: a database thread, inside `work`.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "blob/store.h"
#include "db/database.h"
#include "db/migrate.h"

namespace nimbus::blob {

// Set "blob"; needs nothing else in the database.
const db::MigrationSet& blob_migrations();

enum class Use { cache, registry };
std::string_view to_string(Use use);
std::optional<Use> find_use(std::string_view name);

struct Hold {
  std::string org;
  std::string repo;
  Use use = Use::cache;
  std::string holder;
};

struct Usage {
  int64_t bytes = 0;  // of distinct blobs
  int64_t blobs = 0;
};

// Records the hold; false: it was there already. unavailable: the blob is being removed at this
// very moment, its bytes must be sent again. corrupt: the blob is known with another size.
Result<bool> hold_in(db::Transaction& tx, const Hold& hold, const BlobInfo& blob, Time now);
// Gives it up; false: there was none.
Result<bool> release_in(db::Transaction& tx, const Hold& hold, const Digest& digest, Time now);
// Gives up every blob of that holder; how many those were.
Result<int64_t> release_holder_in(db::Transaction& tx, const Hold& hold, Time now);

// The blob, if the org (in the second form: that repo) holds it for that use.
Result<std::optional<BlobInfo>> find_held_in(db::Transaction& tx, std::string_view org, Use use,
                                             const Digest& digest);
Result<std::optional<BlobInfo>> find_held_in(db::Transaction& tx, std::string_view org,
                                             std::string_view repo, Use use, const Digest& digest);
// Everybody who holds the blob.
Result<std::vector<Hold>> holds_in(db::Transaction& tx, const Digest& digest);

Result<Usage> org_usage_in(db::Transaction& tx, std::string_view org, Use use);
Result<Usage> repo_usage_in(db::Transaction& tx, std::string_view org, std::string_view repo,
                            Use use);

struct OrgUsage {
  std::string org;  // in lower case
  Use use = Use::cache;
  Usage usage;
};
Result<std::vector<OrgUsage>> all_org_usage_in(db::Transaction& tx);
// The one org's, also when it stores nothing; without an org, of all that store something.
Result<std::vector<OrgUsage>> usage_of_orgs_in(db::Transaction& tx,
                                               const std::optional<std::string>& org, Use use);
struct RepoOfOrgUsage {
  std::string org;   // in lower case
  std::string repo;  // in lower case
  Usage usage;
};
// Up to `limit` after (after_org, after_repo), in that order.
struct RepoUsageQuery {
  std::optional<std::string> org;  // in lower case; nullopt: every org's
  Use use = Use::cache;
  std::string after_org;
  std::string after_repo;
  int limit = 100;
};
Result<std::vector<RepoOfOrgUsage>> repo_usage_page_in(db::Transaction& tx,
                                                       const RepoUsageQuery& query);

// --- For the collector and the scrubber.

// Blobs whose last hold went before `before`, or whose removal was begun and not finished.
Result<std::vector<BlobInfo>> garbage_in(db::Transaction& tx, Time before, int limit);
// Marks the blob as being removed, known or not; false: somebody holds it. From here on nobody can
// hold it until `forget_in`.
Result<bool> condemn_in(db::Transaction& tx, const BlobInfo& blob, Time now);
// The bytes are gone. The blob must be condemned.
Result<void> forget_in(db::Transaction& tx, const Digest& digest);
Result<std::optional<BlobInfo>> find_blob_in(db::Transaction& tx, const Digest& digest);
// Known, and not condemned.
Result<bool> is_stored_in(db::Transaction& tx, const Digest& digest);
// Those of `blobs` that no row names.
Result<std::vector<BlobInfo>> unknown_in(db::Transaction& tx, const std::vector<BlobInfo>& blobs);
// Blobs that are not condemned, in order of digest, after `after`.
Result<std::vector<BlobInfo>> blobs_in(db::Transaction& tx, const std::optional<Digest>& after,
                                       int limit);

}  // namespace nimbus::blob
