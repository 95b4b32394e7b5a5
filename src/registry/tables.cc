#include "registry/tables.h"

#include "registry/names.h"

namespace nimbus::registry {

blob::Hold hold_of(std::string_view repository, std::string_view holder) {
  return {std::string(org_of(repository)), std::string(name_in_org(repository)),
          blob::Use::registry, std::string(holder)};
}

Result<std::optional<int64_t>> find_repository(db::Transaction& tx, std::string_view name) {
  const auto row = TRY(tx.find("SELECT id FROM registry_repositories WHERE name = $1", name));
  if (!row) return std::nullopt;
  return row->integer(0);
}

Result<int64_t> make_repository(db::Transaction& tx, std::string_view name, Time now) {
  if (const auto known = TRY(find_repository(tx, name))) return *known;
  TRY(tx.run("INSERT INTO registry_repositories (name, org, created_us) VALUES ($1, $2, $3)", name,
             org_of(name), now));
  return TRY(find_repository(tx, name)).value();
}

Result<void> note_push(db::Transaction& tx, int64_t repository, Time now) {
  TRY(tx.run("UPDATE registry_repositories SET pushed_us = $1 WHERE id = $2", now, repository));
  return {};
}

Result<void> link_blob(db::Transaction& tx, std::string_view repository, const blob::BlobInfo& blob,
                       Time now) {
  const int64_t id = TRY(make_repository(tx, repository, now));
  TRY(
      tx.run("INSERT INTO registry_blobs (repository, digest, size, kept_us) "
             "VALUES ($1, $2, $3, $4) ON CONFLICT (repository, digest) DO UPDATE SET "
             "kept_us = excluded.kept_us",
             id, to_string(blob.digest), blob.size, now));
  TRY(blob::hold_in(tx, hold_of(repository, kBlobHolder), blob, now));
  return note_push(tx, id, now);
}

Result<std::optional<int64_t>> find_blob(db::Transaction& tx, std::string_view repository,
                                         std::string_view digest) {
  const auto row =
      TRY(tx.find("SELECT b.size FROM registry_repositories r JOIN registry_blobs b "
                  "ON b.repository = r.id WHERE r.name = $1 AND b.digest = $2",
                  repository, digest));
  if (!row) return std::nullopt;
  return row->integer(0);
}

Result<std::optional<std::string>> find_blob_in_org(db::Transaction& tx, std::string_view org,
                                                    std::string_view digest) {
  const auto row =
      TRY(tx.find("SELECT r.name FROM registry_blobs b JOIN registry_repositories r "
                  "ON r.id = b.repository WHERE b.digest = $1 AND r.org = $2 LIMIT 1",
                  digest, org));
  if (!row) return std::nullopt;
  return row->text(0);
}

Result<bool> unlink_blob(db::Transaction& tx, std::string_view repository,
                         const blob::Digest& digest, Time now) {
  const auto id = TRY(find_repository(tx, repository));
  if (!id) return false;
  const std::string name = to_string(digest);
  const auto user =
      TRY(tx.find("SELECT manifest FROM registry_references WHERE repository = $1 AND target = $2 "
                  "LIMIT 1",
                  *id, name));
  if (user) {
    return fail(Code::conflict, "a manifest of the repository refers to the blob",
                "delete the manifest " + user->text(0) + " first");
  }
  const int64_t removed =
      TRY(tx.run("DELETE FROM registry_blobs WHERE repository = $1 AND digest = $2", *id, name));
  TRY(blob::release_in(tx, hold_of(repository, kBlobHolder), digest, now));
  return removed > 0;
}

Result<void> keep_blob(db::Transaction& tx, std::string_view repository, std::string_view digest,
                       Time now) {
  TRY(
      tx.run("UPDATE registry_blobs SET kept_us = $1 WHERE digest = $2 AND repository = "
             "(SELECT id FROM registry_repositories WHERE name = $3)",
             now, digest, repository));
  return {};
}

Result<void> add_upload(db::Transaction& tx, const UploadRow& upload, int64_t org_uploads_max) {
  const std::string_view org = org_of(upload.repository);
  const auto open = TRY(tx.find("SELECT count(*) FROM registry_uploads WHERE org = $1", org));
  if (open && open->integer(0) >= org_uploads_max) {
    return fail(Code::too_many_requests,
                "the org has " + std::to_string(org_uploads_max) + " open uploads",
                "finish or cancel some; those left idle end after a day");
  }
  TRY(
      tx.run("INSERT INTO registry_uploads (id, repository, org, started_us) "
             "VALUES ($1, $2, $3, $4)",
             upload.id, upload.repository, org, upload.started_at));
  return {};
}

Result<std::optional<UploadRow>> find_upload(db::Transaction& tx, std::string_view id) {
  const auto row =
      TRY(tx.find("SELECT id, repository, started_us FROM registry_uploads WHERE id = $1", id));
  if (!row) return std::nullopt;
  return UploadRow{row->text(0), row->text(1), row->time(2)};
}

Result<void> remove_upload(db::Transaction& tx, std::string_view id) {
  TRY(tx.run("DELETE FROM registry_uploads WHERE id = $1", id));
  return {};
}

Result<std::vector<std::string>> old_uploads(db::Transaction& tx, Time before) {
  std::vector<std::string> ids;
  for (const db::Row& row :
       TRY(tx.query("SELECT id FROM registry_uploads WHERE started_us < $1", before))) {
    ids.push_back(row.text(0));
  }
  return ids;
}

}  // namespace nimbus::registry
