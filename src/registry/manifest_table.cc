#include "registry/manifest_table.h"

#include "registry/tables.h"

namespace nimbus::registry {
namespace {

Result<bool> exists(db::Transaction& tx, std::string_view sql, int64_t repository,
                    std::string_view digest) {
  return TRY(tx.find(sql, repository, digest)).has_value();
}

Result<bool> has_blob(db::Transaction& tx, int64_t repository, std::string_view digest) {
  return exists(tx, "SELECT 1 FROM registry_blobs WHERE repository = $1 AND digest = $2",
                repository, digest);
}

Result<bool> has_manifest(db::Transaction& tx, int64_t repository, std::string_view digest) {
  return exists(tx, "SELECT 1 FROM registry_manifests WHERE repository = $1 AND digest = $2",
                repository, digest);
}

Result<std::vector<std::string>> find_missing(db::Transaction& tx, const ManifestPush& push) {
  std::vector<std::string> missing;
  if (!push.check_references) return missing;
  const int64_t repository = TRY(find_repository(tx, push.repository)).value_or(-1);
  for (const std::string& digest : push.document.blobs) {
    if (!TRY(has_blob(tx, repository, digest))) missing.push_back(digest);
  }
  // The entries of a build cache's index are layers.
  for (const std::string& digest : push.document.children) {
    if (!TRY(has_manifest(tx, repository, digest)) && !TRY(has_blob(tx, repository, digest))) {
      missing.push_back(digest);
    }
  }
  return missing;
}

Result<void> add_references(db::Transaction& tx, int64_t repository, const ManifestPush& push) {
  const std::string digest = to_string(push.info.digest);
  for (const auto* list : {&push.document.blobs, &push.document.children}) {
    for (const std::string& target : *list) {
      const auto platform = push.document.platforms.find(target);
      TRY(
          tx.run("INSERT INTO registry_references (repository, manifest, target, platform) "
                 "VALUES ($1, $2, $3, $4) ON CONFLICT (repository, manifest, target) DO NOTHING",
                 repository, digest, target,
                 platform == push.document.platforms.end() ? std::string() : platform->second));
    }
  }
  return {};
}

StoredManifest read_manifest(const db::Row& row) {
  return {row.text(0), row.text(1), row.find_time(2)};
}

}  // namespace

Result<std::vector<std::string>> put_manifest(db::Transaction& tx, const ManifestPush& push,
                                              Time now) {
  std::vector<std::string> missing = TRY(find_missing(tx, push));
  if (!missing.empty()) return missing;
  const int64_t repository = TRY(make_repository(tx, push.repository, now));
  const ManifestDocument& document = push.document;
  const std::string digest = to_string(push.info.digest);
  const std::optional<std::string> subject =
      document.subject.empty() ? std::nullopt : std::optional(document.subject);
  // The same bytes may be pushed again as another media type only if they do not name their own.
  TRY(
      tx.run("INSERT INTO registry_manifests (repository, digest, media_type, artifact_type, "
             "subject, annotations, size, content_bytes, pushed_us) "
             "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (repository, digest) DO "
             "UPDATE SET media_type = excluded.media_type, pushed_us = excluded.pushed_us",
             repository, digest, document.media_type, document.artifact_type, subject,
             document.annotations, push.info.size, document.content_bytes, now));
  TRY(blob::hold_in(tx, hold_of(push.repository, kManifestHolder), push.info, now));
  TRY(add_references(tx, repository, push));
  for (const std::string& tag : push.tags) {
    TRY(
        tx.run("INSERT INTO registry_tags (repository, name, digest, pushed_us, checked_us) "
               "VALUES ($1, $2, $3, $4, $4) ON CONFLICT (repository, name) DO UPDATE SET "
               "digest = excluded.digest, pushed_us = excluded.pushed_us, "
               "checked_us = excluded.checked_us",
               repository, tag, digest, now));
  }
  TRY(note_push(tx, repository, now));
  return missing;
}

Result<std::optional<StoredManifest>> find_manifest(db::Transaction& tx,
                                                    std::string_view repository,
                                                    std::string_view reference) {
  const bool by_digest = reference.find(':') != std::string_view::npos;
  const auto row =
      TRY(by_digest
              ? tx.find("SELECT m.digest, m.media_type, NULL FROM registry_repositories r "
                        "JOIN registry_manifests m ON m.repository = r.id "
                        "WHERE r.name = $1 AND m.digest = $2",
                        repository, reference)
              : tx.find("SELECT m.digest, m.media_type, t.checked_us "
                        "FROM registry_repositories r JOIN registry_tags t ON t.repository = r.id "
                        "JOIN registry_manifests m ON m.repository = r.id AND m.digest = t.digest "
                        "WHERE r.name = $1 AND t.name = $2",
                        repository, reference));
  if (!row) return std::nullopt;
  return read_manifest(*row);
}

Result<void> note_tag_checked(db::Transaction& tx, std::string_view repository,
                              std::string_view tag, Time now) {
  TRY(
      tx.run("UPDATE registry_tags SET checked_us = $1 WHERE name = $2 AND repository = "
             "(SELECT id FROM registry_repositories WHERE name = $3)",
             now, tag, repository));
  return {};
}

Result<bool> remove_tag(db::Transaction& tx, std::string_view repository, std::string_view tag) {
  const auto id = TRY(find_repository(tx, repository));
  if (!id) return false;
  return TRY(tx.run("DELETE FROM registry_tags WHERE repository = $1 AND name = $2", *id, tag)) > 0;
}

Result<bool> remove_manifest(db::Transaction& tx, std::string_view repository,
                             std::string_view digest, Time now) {
  const auto id = TRY(find_repository(tx, repository));
  if (!id) return false;
  const int64_t removed = TRY(
      tx.run("DELETE FROM registry_manifests WHERE repository = $1 AND digest = $2", *id, digest));
  TRY(tx.run("DELETE FROM registry_references WHERE repository = $1 AND manifest = $2", *id,
             digest));
  TRY(tx.run("DELETE FROM registry_tags WHERE repository = $1 AND digest = $2", *id, digest));
  TRY(blob::release_in(tx, hold_of(repository, kManifestHolder), TRY(blob::parse_digest(digest)),
                       now));
  return removed > 0;
}

Result<std::optional<std::vector<std::string>>> list_tags(db::Transaction& tx,
                                                          std::string_view repository,
                                                          std::string_view last, int64_t limit) {
  const auto id = TRY(find_repository(tx, repository));
  if (!id) return std::nullopt;
  std::vector<std::string> tags;
  for (const db::Row& row :
       TRY(tx.query("SELECT name FROM registry_tags WHERE repository = $1 AND name > $2 "
                    "ORDER BY name LIMIT $3",
                    *id, last, limit))) {
    tags.push_back(row.text(0));
  }
  return tags;
}

Result<std::vector<Referrer>> list_referrers(db::Transaction& tx, const ReferrerQuery& query) {
  std::vector<Referrer> out;
  const auto id = TRY(find_repository(tx, query.repository));
  if (!id) return out;
  for (const db::Row& row :
       TRY(tx.query("SELECT digest, media_type, artifact_type, annotations, size "
                    "FROM registry_manifests WHERE repository = $1 AND subject = $2 AND "
                    "digest > $3 AND ($4 = '' OR artifact_type = $4) ORDER BY digest LIMIT $5",
                    *id, query.subject, query.last, query.artifact_type, query.limit))) {
    out.push_back({row.text(0), row.text(1), row.text(2), row.text(3), row.integer(4)});
  }
  return out;
}

}  // namespace nimbus::registry
