#include "blob/catalog.h"

#include <array>

#include "base/text.h"

namespace nimbus::blob {
namespace {

// blobs: `released_us` is when the last hold went, NULL while there is one; `condemned` from the
// decision to remove the bytes until they are gone.
// blob_holds: the key's prefixes answer who holds a blob, and whether an org or a repo has another
// hold on it.
constexpr std::string_view kBlobs = R"sql(
CREATE TABLE blobs (
  digest TEXT PRIMARY KEY,
  size BIGINT NOT NULL,
  stored_us BIGINT NOT NULL,
  released_us BIGINT,
  condemned BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX blobs_released ON blobs (released_us) WHERE released_us IS NOT NULL;
CREATE TABLE blob_holds (
  digest TEXT NOT NULL,
  org TEXT NOT NULL,
  purpose TEXT NOT NULL,
  repo TEXT NOT NULL,
  holder TEXT NOT NULL,
  PRIMARY KEY (digest, org, purpose, repo, holder)
) WITHOUT ROWID;
CREATE INDEX blob_holds_by_holder ON blob_holds (org, purpose, repo, holder);
CREATE TABLE blob_org_usage (
  org TEXT NOT NULL,
  purpose TEXT NOT NULL,
  bytes BIGINT NOT NULL,
  blobs BIGINT NOT NULL,
  PRIMARY KEY (org, purpose)
) WITHOUT ROWID;
CREATE TABLE blob_repo_usage (
  org TEXT NOT NULL,
  purpose TEXT NOT NULL,
  repo TEXT NOT NULL,
  bytes BIGINT NOT NULL,
  blobs BIGINT NOT NULL,
  PRIMARY KEY (org, purpose, repo)
) WITHOUT ROWID;
)sql";

struct HoldKey {
  explicit HoldKey(const Hold& hold, const Digest& d)
      : digest(to_string(d)),
        org(to_lower(hold.org)),
        purpose(to_string(hold.use)),
        repo(to_lower(hold.repo)),
        holder(hold.holder) {}
  std::string digest, org, purpose, repo, holder;
};

// Adds to both sums what the hold's coming or going changes; `sign` is 1 or -1. The hold itself is
// not in the table when this runs.
Result<void> count(db::Transaction& tx, const HoldKey& key, int64_t size, int sign) {
  const auto in_repo =
      TRY(tx.find("SELECT 1 FROM blob_holds WHERE digest = $1 AND org = $2 AND purpose = $3 "
                  "AND repo = $4 LIMIT 1",
                  key.digest, key.org, key.purpose, key.repo));
  if (in_repo) return {};
  TRY(
      tx.run("INSERT INTO blob_repo_usage (org, purpose, repo, bytes, blobs) "
             "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (org, purpose, repo) DO UPDATE SET "
             "bytes = blob_repo_usage.bytes + excluded.bytes, "
             "blobs = blob_repo_usage.blobs + excluded.blobs",
             key.org, key.purpose, key.repo, sign * size, sign));
  const auto in_org = TRY(
      tx.find("SELECT 1 FROM blob_holds WHERE digest = $1 AND org = $2 AND purpose = $3 LIMIT 1",
              key.digest, key.org, key.purpose));
  if (in_org) return {};
  TRY(
      tx.run("INSERT INTO blob_org_usage (org, purpose, bytes, blobs) VALUES ($1, $2, $3, $4) "
             "ON CONFLICT (org, purpose) DO UPDATE SET "
             "bytes = blob_org_usage.bytes + excluded.bytes, "
             "blobs = blob_org_usage.blobs + excluded.blobs",
             key.org, key.purpose, sign * size, sign));
  return {};
}

// The blob's row, made or brought back to life.
Result<void> know(db::Transaction& tx, const std::string& digest, int64_t size, Time now) {
  const auto row =
      TRY(tx.find("SELECT size, condemned, released_us FROM blobs WHERE digest = $1", digest));
  if (!row) {
    TRY(
        tx.run("INSERT INTO blobs (digest, size, stored_us, released_us, condemned) "
               "VALUES ($1, $2, $3, NULL, 0)",
               digest, size, now));
    return {};
  }
  if (row->integer(1) != 0) {
    return fail(Code::unavailable, "the blob is being removed", "send its bytes again");
  }
  if (row->integer(0) != size) {
    return fail(Code::corrupt, digest + " is known with " + std::to_string(row->integer(0)) +
                                   " bytes, not " + std::to_string(size));
  }
  if (!row->find_integer(2)) return {};
  TRY(tx.run("UPDATE blobs SET released_us = NULL WHERE digest = $1", digest));
  return {};
}

Result<std::optional<BlobInfo>> info_of(const Digest& digest, std::optional<db::Row> row) {
  if (!row) return std::nullopt;
  return BlobInfo{digest, row->integer(0)};
}

Result<std::vector<BlobInfo>> infos_of(const db::Rows& rows) {
  std::vector<BlobInfo> blobs;
  for (const db::Row& row : rows) blobs.push_back({TRY(parse_digest(row.text(0))), row.integer(1)});
  return blobs;
}

Result<Usage> usage_of(const std::optional<db::Row>& row) {
  return row ? Usage{row->integer(0), row->integer(1)} : Usage{};
}

}  // namespace

const db::MigrationSet& blob_migrations() {
  static constexpr std::array<db::Migration, 1> kMigrations = {db::Migration{1, "blobs", kBlobs}};
  static constexpr db::MigrationSet kSet{"blob", kMigrations};
  return kSet;
}

std::string_view to_string(Use use) { return use == Use::cache ? "cache" : "registry"; }

std::optional<Use> find_use(std::string_view name) {
  if (name == "cache") return Use::cache;
  if (name == "registry") return Use::registry;
  return std::nullopt;
}

Result<bool> hold_in(db::Transaction& tx, const Hold& hold, const BlobInfo& blob, Time now) {
  const HoldKey key(hold, blob.digest);
  const auto there =
      TRY(tx.find("SELECT 1 FROM blob_holds WHERE digest = $1 AND org = $2 AND purpose = $3 "
                  "AND repo = $4 AND holder = $5",
                  key.digest, key.org, key.purpose, key.repo, key.holder));
  if (there) return false;
  TRY(know(tx, key.digest, blob.size, now));
  TRY(count(tx, key, blob.size, 1));
  TRY(
      tx.run("INSERT INTO blob_holds (digest, org, purpose, repo, holder) "
             "VALUES ($1, $2, $3, $4, $5)",
             key.digest, key.org, key.purpose, key.repo, key.holder));
  return true;
}

Result<bool> release_in(db::Transaction& tx, const Hold& hold, const Digest& digest, Time now) {
  const HoldKey key(hold, digest);
  const int64_t gone =
      TRY(tx.run("DELETE FROM blob_holds WHERE digest = $1 AND org = $2 AND purpose = $3 "
                 "AND repo = $4 AND holder = $5",
                 key.digest, key.org, key.purpose, key.repo, key.holder));
  if (gone == 0) return false;
  const auto row = TRY(tx.find("SELECT size FROM blobs WHERE digest = $1", key.digest));
  if (!row) return fail(Code::corrupt, key.digest + " is held and not known");
  TRY(count(tx, key, row->integer(0), -1));
  TRY(
      tx.run("UPDATE blobs SET released_us = $1 WHERE digest = $2 AND NOT EXISTS "
             "(SELECT 1 FROM blob_holds WHERE blob_holds.digest = blobs.digest)",
             now, key.digest));
  return true;
}

Result<int64_t> release_holder_in(db::Transaction& tx, const Hold& hold, Time now) {
  const auto rows =
      TRY(tx.query("SELECT digest FROM blob_holds WHERE org = $1 AND purpose = $2 AND repo = $3 "
                   "AND holder = $4",
                   to_lower(hold.org), to_string(hold.use), to_lower(hold.repo), hold.holder));
  for (const db::Row& row : rows) {
    TRY(release_in(tx, hold, TRY(parse_digest(row.text(0))), now));
  }
  return static_cast<int64_t>(rows.size());
}

Result<std::optional<BlobInfo>> find_held_in(db::Transaction& tx, std::string_view org, Use use,
                                             const Digest& digest) {
  return info_of(digest,
                 TRY(tx.find("SELECT b.size FROM blobs b WHERE b.digest = $1 AND EXISTS (SELECT 1 "
                             "FROM blob_holds h WHERE h.digest = $1 AND h.org = $2 AND "
                             "h.purpose = $3)",
                             to_string(digest), to_lower(org), to_string(use))));
}

Result<std::optional<BlobInfo>> find_held_in(db::Transaction& tx, std::string_view org,
                                             std::string_view repo, Use use, const Digest& digest) {
  return info_of(digest,
                 TRY(tx.find("SELECT b.size FROM blobs b WHERE b.digest = $1 AND EXISTS (SELECT 1 "
                             "FROM blob_holds h WHERE h.digest = $1 AND h.org = $2 AND "
                             "h.purpose = $3 AND h.repo = $4)",
                             to_string(digest), to_lower(org), to_string(use), to_lower(repo))));
}

Result<std::vector<Hold>> holds_in(db::Transaction& tx, const Digest& digest) {
  std::vector<Hold> holds;
  const auto rows = TRY(tx.query(
      "SELECT org, repo, purpose, holder FROM blob_holds WHERE digest = $1", to_string(digest)));
  for (const db::Row& row : rows) {
    const auto use = find_use(row.text(2));
    if (!use) return fail(Code::corrupt, "a hold for an unknown use: " + row.text(2));
    holds.push_back({row.text(0), row.text(1), *use, row.text(3)});
  }
  return holds;
}

Result<Usage> org_usage_in(db::Transaction& tx, std::string_view org, Use use) {
  return usage_of(
      TRY(tx.find("SELECT bytes, blobs FROM blob_org_usage WHERE org = $1 AND purpose = $2",
                  to_lower(org), to_string(use))));
}

Result<Usage> repo_usage_in(db::Transaction& tx, std::string_view org, std::string_view repo,
                            Use use) {
  return usage_of(TRY(tx.find(
      "SELECT bytes, blobs FROM blob_repo_usage WHERE org = $1 AND purpose = $2 AND repo = $3",
      to_lower(org), to_string(use), to_lower(repo))));
}

Result<std::vector<OrgUsage>> all_org_usage_in(db::Transaction& tx) {
  std::vector<OrgUsage> all;
  const auto rows =
      TRY(tx.query("SELECT org, purpose, bytes, blobs FROM blob_org_usage ORDER BY org, purpose"));
  for (const db::Row& row : rows) {
    const auto use = find_use(row.text(1));
    if (!use) return fail(Code::corrupt, "usage of an unknown kind: " + row.text(1));
    all.push_back({row.text(0), *use, {row.integer(2), row.integer(3)}});
  }
  return all;
}

Result<std::vector<OrgUsage>> usage_of_orgs_in(db::Transaction& tx,
                                               const std::optional<std::string>& org, Use use) {
  if (org) return std::vector<OrgUsage>{{to_lower(*org), use, TRY(org_usage_in(tx, *org, use))}};
  std::vector<OrgUsage> all = TRY(all_org_usage_in(tx));
  std::erase_if(all, [use](const OrgUsage& one) { return one.use != use; });
  return all;
}

Result<std::vector<RepoOfOrgUsage>> repo_usage_page_in(db::Transaction& tx,
                                                       const RepoUsageQuery& query) {
  static const std::string kOfAll =
      "SELECT org, repo, bytes, blobs FROM blob_repo_usage WHERE purpose = $1 AND "
      "(org, repo) > ($2, $3) ORDER BY org, repo LIMIT $4";
  static const std::string kOfOrg =
      "SELECT org, repo, bytes, blobs FROM blob_repo_usage WHERE org = $1 AND purpose = $2 AND "
      "($1, repo) > ($3, $4) ORDER BY repo LIMIT $5";
  const std::string_view purpose = to_string(query.use);
  const auto rows =
      TRY(query.org ? tx.query(kOfOrg, *query.org, purpose, query.after_org, query.after_repo,
                               query.limit)
                    : tx.query(kOfAll, purpose, query.after_org, query.after_repo, query.limit));
  std::vector<RepoOfOrgUsage> page;
  page.reserve(rows.size());
  for (const db::Row& row : rows) {
    page.push_back({row.text(0), row.text(1), {row.integer(2), row.integer(3)}});
  }
  return page;
}

Result<std::vector<BlobInfo>> garbage_in(db::Transaction& tx, Time before, int limit) {
  return infos_of(
      TRY(tx.query("SELECT digest, size FROM blobs WHERE released_us IS NOT NULL AND "
                   "(released_us <= $1 OR condemned <> 0) ORDER BY released_us LIMIT $2",
                   before, limit)));
}

Result<bool> condemn_in(db::Transaction& tx, const BlobInfo& blob, Time now) {
  const std::string digest = to_string(blob.digest);
  const auto held = TRY(tx.find("SELECT 1 FROM blob_holds WHERE digest = $1 LIMIT 1", digest));
  if (held) return false;
  TRY(
      tx.run("INSERT INTO blobs (digest, size, stored_us, released_us, condemned) "
             "VALUES ($1, $2, $3, $3, 1) ON CONFLICT (digest) DO UPDATE SET condemned = 1, "
             "released_us = coalesce(blobs.released_us, excluded.released_us)",
             digest, blob.size, now));
  return true;
}

Result<void> forget_in(db::Transaction& tx, const Digest& digest) {
  TRY(tx.run("DELETE FROM blobs WHERE digest = $1 AND condemned <> 0", to_string(digest)));
  return {};
}

Result<std::optional<BlobInfo>> find_blob_in(db::Transaction& tx, const Digest& digest) {
  return info_of(digest,
                 TRY(tx.find("SELECT size FROM blobs WHERE digest = $1", to_string(digest))));
}

Result<bool> is_stored_in(db::Transaction& tx, const Digest& digest) {
  return TRY(tx.find("SELECT 1 FROM blobs WHERE digest = $1 AND condemned = 0", to_string(digest)))
      .has_value();
}

Result<std::vector<BlobInfo>> unknown_in(db::Transaction& tx, const std::vector<BlobInfo>& blobs) {
  std::vector<BlobInfo> unknown;
  for (const BlobInfo& blob : blobs) {
    if (!TRY(find_blob_in(tx, blob.digest))) unknown.push_back(blob);
  }
  return unknown;
}

Result<std::vector<BlobInfo>> blobs_in(db::Transaction& tx, const std::optional<Digest>& after,
                                       int limit) {
  return infos_of(
      TRY(tx.query("SELECT digest, size FROM blobs WHERE digest > $1 AND condemned = 0 "
                   "ORDER BY digest LIMIT $2",
                   after ? to_string(*after) : std::string(), limit)));
}

}  // namespace nimbus::blob
