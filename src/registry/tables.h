// Repositories and the blobs that are visible in them, in the relational store. Visibility is a row
// here, made by an upload or a mount, and never the mere existence of the bytes. Each row is one
// hold on the blob in blob's catalog, taken and given back in the same transaction.
//
// Threads: a database thread, inside a transaction.
// Not here: manifests and tags (manifest_table.h), what may go when (collector.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "blob/catalog.h"
#include "db/database.h"
#include "db/migrate.h"

namespace nimbus::registry {

const db::MigrationSet& registry_migrations();

// The repository's number; nullopt when nothing was ever pushed to it.
Result<std::optional<int64_t>> find_repository(db::Transaction& tx, std::string_view name);
// The same, made when it is new.
Result<int64_t> make_repository(db::Transaction& tx, std::string_view name, Time now);
Result<void> note_push(db::Transaction& tx, int64_t repository, Time now);

// Why blob's catalog keeps the bytes for a repository.
constexpr std::string_view kBlobHolder = "blob";
constexpr std::string_view kManifestHolder = "manifest";
blob::Hold hold_of(std::string_view repository, std::string_view holder);

// Makes the blob visible in the repository, or keeps it for longer when it is so already.
Result<void> link_blob(db::Transaction& tx, std::string_view repository, const blob::BlobInfo& blob,
                       Time now);
// The blob's size when it is visible in the repository.
Result<std::optional<int64_t>> find_blob(db::Transaction& tx, std::string_view repository,
                                         std::string_view digest);
// A repository of `org` in which the blob is visible; of all orgs' when `org` is "".
Result<std::optional<std::string>> find_blob_in_org(db::Transaction& tx, std::string_view org,
                                                    std::string_view digest);
// False when it was not visible. conflict: a manifest of the repository refers to it.
Result<bool> unlink_blob(db::Transaction& tx, std::string_view repository,
                         const blob::Digest& digest, Time now);
// Clients that were told "it is here" rely on that for a while.
Result<void> keep_blob(db::Transaction& tx, std::string_view repository, std::string_view digest,
                       Time now);

// Upload sessions, so that they outlive a restart.
struct UploadRow {
  std::string id;
  std::string repository;
  Time started_at;
};
// too_many_requests: the org has `org_uploads_max` open ones.
Result<void> add_upload(db::Transaction& tx, const UploadRow& upload, int64_t org_uploads_max);
Result<std::optional<UploadRow>> find_upload(db::Transaction& tx, std::string_view id);
Result<void> remove_upload(db::Transaction& tx, std::string_view id);
// Ids of those started before `before`.
Result<std::vector<std::string>> old_uploads(db::Transaction& tx, Time before);

}  // namespace nimbus::registry
