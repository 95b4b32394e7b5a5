#include <array>

#include "registry/tables.h"

namespace nimbus::registry {
namespace {

constexpr std::array<db::Migration, 2> kMigrations = {{
    {1, "repositories", R"(
CREATE TABLE registry_repositories (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  org TEXT NOT NULL,
  created_us BIGINT NOT NULL,
  pushed_us BIGINT,
  pulled_us BIGINT
);
CREATE INDEX registry_repositories_by_org ON registry_repositories (org, name);
CREATE TABLE registry_blobs (
  repository BIGINT NOT NULL REFERENCES registry_repositories (id),
  digest TEXT NOT NULL,
  size BIGINT NOT NULL,
  kept_us BIGINT NOT NULL,
  PRIMARY KEY (repository, digest)
);
CREATE INDEX registry_blobs_by_digest ON registry_blobs (digest);
CREATE TABLE registry_manifests (
  repository BIGINT NOT NULL REFERENCES registry_repositories (id),
  digest TEXT NOT NULL,
  media_type TEXT NOT NULL,
  artifact_type TEXT NOT NULL,
  subject TEXT,
  annotations TEXT NOT NULL,
  size BIGINT NOT NULL,
  pushed_us BIGINT NOT NULL,
  pulled_us BIGINT,
  PRIMARY KEY (repository, digest)
);
CREATE INDEX registry_manifests_by_subject ON registry_manifests (repository, subject);
CREATE TABLE registry_references (
  repository BIGINT NOT NULL,
  manifest TEXT NOT NULL,
  target TEXT NOT NULL,
  PRIMARY KEY (repository, manifest, target)
);
CREATE INDEX registry_references_by_target ON registry_references (repository, target);
CREATE TABLE registry_tags (
  repository BIGINT NOT NULL REFERENCES registry_repositories (id),
  name TEXT NOT NULL,
  digest TEXT NOT NULL,
  pushed_us BIGINT NOT NULL,
  pulled_us BIGINT,
  checked_us BIGINT,
  PRIMARY KEY (repository, name)
);
CREATE INDEX registry_tags_by_digest ON registry_tags (repository, digest);
CREATE TABLE registry_uploads (
  id TEXT PRIMARY KEY,
  repository TEXT NOT NULL,
  org TEXT NOT NULL,
  started_us BIGINT NOT NULL
);
CREATE INDEX registry_uploads_by_org ON registry_uploads (org);
)"},
    // Lists of what a repository holds, newest push first. `content_bytes` is what a manifest names
    // besides other manifests; of those that are there already it is what the repository has.
    {2, "lists of tags and manifests", R"(
ALTER TABLE registry_references ADD COLUMN platform TEXT NOT NULL DEFAULT '';
ALTER TABLE registry_manifests ADD COLUMN content_bytes BIGINT NOT NULL DEFAULT 0;
UPDATE registry_manifests SET content_bytes = COALESCE(
  (SELECT sum(b.size) FROM registry_references f
   JOIN registry_blobs b ON b.repository = f.repository AND b.digest = f.target
   WHERE f.repository = registry_manifests.repository AND f.manifest = registry_manifests.digest),
  0);
CREATE INDEX registry_tags_by_push ON registry_tags (repository, pushed_us, name);
CREATE INDEX registry_manifests_by_push ON registry_manifests (repository, pushed_us, digest);
)"},
}};

constexpr db::MigrationSet kSet = {"registry", kMigrations};

}  // namespace

const db::MigrationSet& registry_migrations() { return kSet; }

}  // namespace nimbus::registry
