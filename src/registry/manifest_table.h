// Manifests and tags of a repository, in the relational store. A manifest's bytes are a blob that
// its row holds. A push is one transaction: what it refers to is there, its bytes are held and the
// tags point to it, or nothing of it happened.
//
// Threads: a database thread, inside a transaction.
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
#include "registry/manifest_document.h"

namespace nimbus::registry {

constexpr size_t kTagsPerPushMax = 64;

struct ManifestPush {
  std::string repository;
  blob::BlobInfo info;  // of its bytes
  ManifestDocument document;
  std::vector<std::string> tags;
  bool check_references = true;  // a mirror's are fetched when they are asked for
};
// Stores it, again or for the first time. The digests it refers to that the repository lacks; when
// there are any, nothing is stored.
Result<std::vector<std::string>> put_manifest(db::Transaction& tx, const ManifestPush& push,
                                              Time now);

struct StoredManifest {
  std::string digest;
  std::string media_type;
  std::optional<Time> checked_at;  // by tag only: when a mirror last asked its upstream
};
// `reference` is a tag, or a digest.
Result<std::optional<StoredManifest>> find_manifest(db::Transaction& tx,
                                                    std::string_view repository,
                                                    std::string_view reference);
Result<void> note_tag_checked(db::Transaction& tx, std::string_view repository,
                              std::string_view tag, Time now);

// False when there was none. A digest takes the manifest and the tags that point to it.
Result<bool> remove_tag(db::Transaction& tx, std::string_view repository, std::string_view tag);
Result<bool> remove_manifest(db::Transaction& tx, std::string_view repository,
                             std::string_view digest, Time now);

// Up to `limit` tags after `last`, in byte order; nullopt when there is no such repository.
Result<std::optional<std::vector<std::string>>> list_tags(db::Transaction& tx,
                                                          std::string_view repository,
                                                          std::string_view last, int64_t limit);

struct Referrer {
  std::string digest;
  std::string media_type;
  std::string artifact_type;
  std::string annotations;  // a JSON object, or ""
  int64_t size = 0;
};
struct ReferrerQuery {
  std::string repository;
  std::string subject;
  std::string artifact_type;  // "" for all
  std::string last;           // digest after which to go on
  int64_t limit = 0;
};
Result<std::vector<Referrer>> list_referrers(db::Transaction& tx, const ReferrerQuery& query);

}  // namespace nimbus::registry
