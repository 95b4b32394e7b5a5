#include "registry/use_notes.h"

#include <memory>

#include "registry/tables.h"

namespace nimbus::registry {

void UseNotes::manifest_pulled(std::string_view repository, std::string_view digest,
                               std::string_view tag) {
  if (gathered_.size() >= kUseNotesMax) return;
  gathered_.repositories.emplace(repository);
  gathered_.manifests.emplace(repository, digest);
  if (!tag.empty()) gathered_.tags.emplace(repository, tag);
}

void UseNotes::blob_seen(std::string_view repository, std::string_view digest) {
  if (gathered_.size() >= kUseNotesMax) return;
  gathered_.repositories.emplace(repository);
  gathered_.blobs.emplace(repository, digest);
}

Result<void> UseNotes::write_in(db::Transaction& tx, const Gathered& gathered, Time now) {
  for (const std::string& repository : gathered.repositories) {
    TRY(tx.run("UPDATE registry_repositories SET pulled_us = $1 WHERE name = $2", now, repository));
  }
  for (const auto& [repository, digest] : gathered.manifests) {
    TRY(
        tx.run("UPDATE registry_manifests SET pulled_us = $1 WHERE digest = $2 AND repository = "
               "(SELECT id FROM registry_repositories WHERE name = $3)",
               now, digest, repository));
  }
  for (const auto& [repository, tag] : gathered.tags) {
    TRY(
        tx.run("UPDATE registry_tags SET pulled_us = $1 WHERE name = $2 AND repository = "
               "(SELECT id FROM registry_repositories WHERE name = $3)",
               now, tag, repository));
  }
  for (const auto& [repository, digest] : gathered.blobs) {
    TRY(keep_blob(tx, repository, digest, now));
  }
  return {};
}

Task<Result<void>> UseNotes::write(db::Database& database, Time now) {
  if (gathered_.size() == 0) co_return Result<void>();
  const auto taken = std::make_shared<const Gathered>(std::exchange(gathered_, {}));
  std::function<Result<bool>(db::Transaction&)> work = [taken, now](db::Transaction& tx) {
    return write_in(tx, *taken, now).map([] { return true; });
  };
  CO_TRY(co_await database.write<bool>(std::move(work)));
  co_return Result<void>();
}

}  // namespace nimbus::registry
