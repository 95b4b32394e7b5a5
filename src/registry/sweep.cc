#include "registry/sweep.h"

#include <algorithm>

#include "registry/manifest_table.h"
#include "registry/tables.h"

namespace nimbus::registry {
namespace {

Time days_before(Time now, int64_t days) { return now - std::chrono::hours(24 * days); }

// Nothing leads to manifest `m`: no tag, no index, and not the manifest it describes.
constexpr std::string_view kUnreachable =
    "NOT EXISTS (SELECT 1 FROM registry_tags t WHERE t.repository = m.repository AND "
    "t.digest = m.digest) AND "
    "NOT EXISTS (SELECT 1 FROM registry_references f WHERE f.repository = m.repository AND "
    "f.target = m.digest) AND "
    "(m.subject IS NULL OR NOT EXISTS (SELECT 1 FROM registry_manifests s WHERE "
    "s.repository = m.repository AND s.digest = m.subject))";

Result<int64_t> remove_manifests(db::Transaction& tx, const std::string& repository,
                                 const db::Rows& rows, Time now) {
  for (const db::Row& row : rows) TRY(remove_manifest(tx, repository, row.text(0), now));
  return static_cast<int64_t>(rows.size());
}

Result<int64_t> expire_tags(db::Transaction& tx, const RepositoryRow& repository,
                            const RetentionRule& rule, Time now) {
  if (rule.keep_newest == 0 && rule.unused_days == 0) return 0;
  const Time before = rule.unused_days == 0 ? now : days_before(now, rule.unused_days);
  // The newest are counted over all tags, then the old ones among the rest go.
  const db::Rows rows =
      TRY(tx.query("SELECT name, COALESCE(pulled_us, pushed_us), pushed_us FROM registry_tags "
                   "WHERE repository = $1 ORDER BY pushed_us DESC, name",
                   repository.id));
  int64_t removed = 0;
  for (size_t i = static_cast<size_t>(rule.keep_newest); i < rows.size(); ++i) {
    const Time used = std::max(rows[i].time(1), rows[i].time(2));
    const std::string& tag = rows[i].text(0);
    const bool stays = used >= before || removed >= kSweptAtOnce ||
                       (!rule.keep_tags.empty() && matches_pattern(tag, rule.keep_tags));
    if (stays) continue;
    TRY(remove_tag(tx, repository.name, tag));
    ++removed;
  }
  return removed;
}

Result<void> remove_empty(db::Transaction& tx, const RepositoryRow& repository, Time before) {
  TRY(
      tx.run("DELETE FROM registry_repositories WHERE id = $1 AND "
             "COALESCE(pushed_us, created_us) < $2 AND "
             "NOT EXISTS (SELECT 1 FROM registry_blobs WHERE repository = $1) AND "
             "NOT EXISTS (SELECT 1 FROM registry_manifests WHERE repository = $1)",
             repository.id, before));
  return {};
}

Result<int64_t> remove_blobs(db::Transaction& tx, const std::string& repository,
                             const db::Rows& rows, Time now) {
  for (const db::Row& row : rows) {
    TRY(unlink_blob(tx, repository, TRY(blob::parse_digest(row.text(0))), now));
  }
  return static_cast<int64_t>(rows.size());
}

}  // namespace

Result<std::vector<RepositoryRow>> repositories_after(db::Transaction& tx, int64_t after,
                                                      int64_t limit) {
  std::vector<RepositoryRow> out;
  for (const db::Row& row :
       TRY(tx.query("SELECT id, name FROM registry_repositories WHERE id > $1 ORDER BY id LIMIT $2",
                    after, limit))) {
    out.push_back({row.integer(0), row.text(1)});
  }
  return out;
}

const RetentionRule& rule_for(const Options& options, std::string_view repository) {
  static const RetentionRule kDefault;
  const auto found = std::find_if(
      options.retention.begin(), options.retention.end(),
      [&](const RetentionRule& rule) { return matches_pattern(repository, rule.repositories); });
  return found == options.retention.end() ? kDefault : *found;
}

Result<int64_t> remove_untagged(db::Transaction& tx, const RepositoryRow& repository, Time before,
                                Time now) {
  const db::Rows rows =
      TRY(tx.query("SELECT m.digest FROM registry_manifests m WHERE m.repository = $1 AND "
                   "m.pushed_us < $2 AND COALESCE(m.pulled_us, 0) < $2 AND " +
                       std::string(kUnreachable) + " LIMIT $3",
                   repository.id, before, kSweptAtOnce));
  return remove_manifests(tx, repository.name, rows, now);
}

Result<int64_t> remove_unreferenced(db::Transaction& tx, const RepositoryRow& repository,
                                    Time before, Time now) {
  const db::Rows rows =
      TRY(tx.query("SELECT b.digest FROM registry_blobs b WHERE b.repository = $1 AND "
                   "b.kept_us < $2 AND NOT EXISTS (SELECT 1 FROM registry_references f WHERE "
                   "f.repository = b.repository AND f.target = b.digest) LIMIT $3",
                   repository.id, before, kSweptAtOnce));
  return remove_blobs(tx, repository.name, rows, now);
}

Result<Swept> sweep_repository(db::Transaction& tx, const RepositoryRow& repository,
                               const Options& options, Time now) {
  const RetentionRule& rule = rule_for(options, repository.name);
  Swept swept;
  swept.tags = TRY(expire_tags(tx, repository, rule, now));
  if (rule.untagged_days > 0) {
    const Time before = days_before(now, rule.untagged_days);
    swept.manifests = TRY(remove_untagged(tx, repository, before, now));
  }
  const Time before = now - options.blob_grace;
  swept.blobs = TRY(remove_unreferenced(tx, repository, before, now));
  TRY(remove_empty(tx, repository, before));
  return swept;
}

Result<Swept> purge_repository(db::Transaction& tx, const RepositoryRow& repository, Time now) {
  Swept swept;
  swept.tags = TRY(tx.run("DELETE FROM registry_tags WHERE repository = $1", repository.id));
  const db::Rows manifests =
      TRY(tx.query("SELECT digest FROM registry_manifests WHERE repository = $1", repository.id));
  swept.manifests = TRY(remove_manifests(tx, repository.name, manifests, now));
  const db::Rows blobs =
      TRY(tx.query("SELECT digest FROM registry_blobs WHERE repository = $1", repository.id));
  swept.blobs = TRY(remove_blobs(tx, repository.name, blobs, now));
  TRY(tx.run("DELETE FROM registry_repositories WHERE id = $1", repository.id));
  return swept;
}

Result<void> drop_lost(db::Transaction& tx, const blob::Hold& hold, const blob::Digest& digest,
                       Time now) {
  const std::string repository = hold.org + "/" + hold.repo;
  const std::string name = to_string(digest);
  if (hold.holder == kManifestHolder) {
    TRY(remove_manifest(tx, repository, name, now));
    return {};
  }
  TRY(
      tx.run("DELETE FROM registry_blobs WHERE digest = $1 AND repository = "
             "(SELECT id FROM registry_repositories WHERE name = $2)",
             name, repository));
  TRY(blob::release_in(tx, hold, digest, now));
  return {};
}

Result<bool> evict_oldest(db::Transaction& tx, std::string_view org, std::string_view repository,
                          Time now) {
  const bool mirrored = org.starts_with("mirror:");
  const std::string reachable = mirrored ? "1 = 1" : std::string(kUnreachable);
  const auto row = TRY(
      tx.find("SELECT r.id, r.name, m.digest FROM registry_repositories r "
              "JOIN registry_manifests m ON m.repository = r.id WHERE r.org = $1 AND "
              "($2 = '' OR r.name = $2) AND " +
                  reachable + " ORDER BY COALESCE(m.pulled_us, m.pushed_us), m.pushed_us LIMIT 1",
              org, repository));
  if (!row) return false;
  const RepositoryRow place{row->integer(0), row->text(1)};
  TRY(remove_manifest(tx, place.name, row->text(2), now));
  // Its layers go with it, apart from those that others refer to.
  TRY(remove_unreferenced(tx, place, now, now));
  return true;
}

}  // namespace nimbus::registry
