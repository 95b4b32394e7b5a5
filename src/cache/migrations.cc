#include "cache/migrations.h"

#include <array>

namespace nimbus::cache {
namespace {

// cache_entries: ids rise with time, so the newest entry is the one with the highest id; that is
// what cache_entries_by_age is for (its rows end with the id). The unique index serves exact keys
// and ranges of keys.
constexpr std::string_view kEntries = R"sql(
CREATE TABLE cache_entries (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  org TEXT NOT NULL,
  repo TEXT NOT NULL,
  kind TEXT NOT NULL,
  scope TEXT NOT NULL,
  version TEXT NOT NULL,
  key TEXT NOT NULL,
  digest TEXT NOT NULL,
  size BIGINT NOT NULL,
  created_us BIGINT NOT NULL,
  used_us BIGINT NOT NULL,
  writer TEXT NOT NULL,
  writer_ref TEXT NOT NULL,
  writer_event TEXT NOT NULL,
  writer_trust TEXT NOT NULL
);
CREATE UNIQUE INDEX cache_entries_by_key
  ON cache_entries (org, repo, kind, scope, version, key);
CREATE INDEX cache_entries_by_age ON cache_entries (org, repo, kind, scope, version, id);
CREATE INDEX cache_entries_by_use ON cache_entries (org, used_us);
CREATE INDEX cache_entries_idle ON cache_entries (used_us);
)sql";

constexpr std::string_view kArtifacts = R"sql(
CREATE TABLE cache_artifacts (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  org TEXT NOT NULL,
  repo TEXT NOT NULL,
  run TEXT NOT NULL,
  job TEXT NOT NULL,
  name TEXT NOT NULL,
  content_type TEXT NOT NULL,
  digest TEXT NOT NULL,
  size BIGINT NOT NULL,
  created_us BIGINT NOT NULL,
  expires_us BIGINT NOT NULL
);
CREATE UNIQUE INDEX cache_artifacts_by_name ON cache_artifacts (org, repo, run, name);
CREATE INDEX cache_artifacts_by_expiry ON cache_artifacts (expires_us);
)sql";

// For the operators' list, newest first.
constexpr std::string_view kArtifactsByOrg = R"sql(
CREATE INDEX cache_artifacts_by_org ON cache_artifacts (org, id);
)sql";

// For the operators' list in every order (id, last use, size), of an org, a repo or everything; and
// for the audit, whose findings are the rows of an index of their own: its condition is that of
// audit_entries_in, word for word.
constexpr std::string_view kLists = R"sql(
CREATE INDEX cache_entries_of_org ON cache_entries (org, id);
CREATE INDEX cache_entries_of_repo ON cache_entries (org, repo, id);
CREATE INDEX cache_entries_of_repo_by_use ON cache_entries (org, repo, used_us, id);
CREATE INDEX cache_entries_by_size ON cache_entries (size, id);
CREATE INDEX cache_entries_of_org_by_size ON cache_entries (org, size, id);
CREATE INDEX cache_entries_of_repo_by_size ON cache_entries (org, repo, size, id);
CREATE INDEX cache_entries_misplaced ON cache_entries (id)
  WHERE writer_trust NOT IN ('branch', 'native', 'operator') AND
  (scope = 'refs/nimbus/shared' OR
   (scope NOT LIKE 'refs/pull/%' AND scope NOT LIKE 'refs/nimbus/%'));
)sql";

}  // namespace

const db::MigrationSet& cache_migrations() {
  static constexpr std::array<db::Migration, 4> kMigrations = {
      db::Migration{1, "cache entries", kEntries},
      db::Migration{2, "artifacts", kArtifacts},
      db::Migration{3, "artifacts by org", kArtifactsByOrg},
      db::Migration{4, "lists of entries in every order", kLists},
  };
  static constexpr db::MigrationSet kSet{"cache", kMigrations};
  return kSet;
}

}  // namespace nimbus::cache
