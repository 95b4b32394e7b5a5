#include <array>

#include "registry/tables.h"

namespace nimbus::registry {
namespace {

constexpr std::array<db::Migration, 1> kMigrations = {{
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
}};

constexpr db::MigrationSet kSet = {"registry", kMigrations};

}  // namespace

const db::MigrationSet& registry_migrations() { return kSet; }

}  // namespace nimbus::registry
