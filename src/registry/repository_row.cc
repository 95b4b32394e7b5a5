#include "registry/repository_row.h"

#include "api/json_text.h"
#include "blob/catalog.h"
#include "registry/names.h"

namespace nimbus::registry {
namespace {

constexpr std::string_view kSelect =
    "SELECT id, name, created_us, pushed_us, pulled_us FROM registry_repositories ";

Result<std::string> show(db::Transaction& tx, const db::Row& row) {
  const std::string& name = row.text(1);
  const auto count = [&](std::string_view table) -> Result<int64_t> {
    const auto found = TRY(tx.find(
        "SELECT count(*) FROM " + std::string(table) + " WHERE repository = $1", row.integer(0)));
    return found->integer(0);
  };
  const auto usage =
      TRY(blob::repo_usage_in(tx, org_of(name), name_in_org(name), blob::Use::registry));
  return api::JsonText()
      .text("repository", name)
      .text("org", org_of(name))
      .integer("tags", TRY(count("registry_tags")))
      .integer("manifests", TRY(count("registry_manifests")))
      .integer("blobs", usage.blobs)
      .integer("bytes", usage.bytes)
      .time("created_at", row.time(2))
      .time("pushed_at", row.find_time(3))
      .time("pulled_at", row.find_time(4))
      .finish();
}

}  // namespace

Result<RepositoryListing> list_repositories(db::Transaction& tx, const access::OrgScope& orgs,
                                            std::string_view after, int64_t limit) {
  RepositoryListing listing;
  if (orgs.is_nothing()) return listing;
  // A repository's org is in lower case: the column itself, so that its index serves.
  const auto org = orgs.single();
  const std::string of_all = std::string(kSelect) + "WHERE name > $1 ORDER BY name LIMIT $2";
  const std::string of_org =
      std::string(kSelect) + "WHERE name > $1 AND org = $2 ORDER BY name LIMIT $3";
  const db::Rows rows =
      TRY(org ? tx.query(of_org, after, *org, limit) : tx.query(of_all, after, limit));
  for (const db::Row& row : rows) {
    listing.names.push_back(row.text(1));
    listing.items.push_back(TRY(show(tx, row)));
  }
  return listing;
}

Result<std::optional<std::string>> find_repository_json(db::Transaction& tx,
                                                        std::string_view name) {
  const auto row = TRY(tx.find(std::string(kSelect) + "WHERE name = $1", name));
  if (!row) return std::nullopt;
  return TRY(show(tx, *row));
}

}  // namespace nimbus::registry
