#include "cli/storage_entries.h"

#include <array>
#include <charconv>

#include "base/clock.h"
#include "cache/artifact_store.h"
#include "cache/entry_store.h"
#include "registry/sweep.h"

namespace nimbus::cli {
namespace {

constexpr std::string_view kEntryHolder = "cache:";
constexpr std::string_view kArtifactHolder = "artifact:";

// A table whose rows each hold one blob: `rows` names, for people, those without their hold,
// `remove` takes them away.
struct HoldingTable {
  std::string_view rows;
  std::string_view remove;
};

constexpr std::array<HoldingTable, 4> kHoldingTables = {{
    {"SELECT e.key || ' of ' || e.org || '/' || e.repo FROM cache_entries e WHERE NOT EXISTS "
     "(SELECT 1 FROM blob_holds h WHERE h.digest = e.digest AND h.org = lower(e.org) AND "
     "h.purpose = 'cache' AND h.repo = lower(e.repo) AND "
     "h.holder = 'cache:' || CAST(e.id AS TEXT))",
     "DELETE FROM cache_entries WHERE NOT EXISTS "
     "(SELECT 1 FROM blob_holds h WHERE h.digest = cache_entries.digest AND "
     "h.org = lower(cache_entries.org) AND h.purpose = 'cache' AND "
     "h.repo = lower(cache_entries.repo) AND "
     "h.holder = 'cache:' || CAST(cache_entries.id AS TEXT))"},
    {"SELECT e.name || ' of ' || e.org || '/' || e.repo FROM cache_artifacts e WHERE NOT EXISTS "
     "(SELECT 1 FROM blob_holds h WHERE h.digest = e.digest AND h.org = lower(e.org) AND "
     "h.purpose = 'cache' AND h.repo = lower(e.repo) AND "
     "h.holder = 'artifact:' || CAST(e.id AS TEXT))",
     "DELETE FROM cache_artifacts WHERE NOT EXISTS "
     "(SELECT 1 FROM blob_holds h WHERE h.digest = cache_artifacts.digest AND "
     "h.org = lower(cache_artifacts.org) AND h.purpose = 'cache' AND "
     "h.repo = lower(cache_artifacts.repo) AND "
     "h.holder = 'artifact:' || CAST(cache_artifacts.id AS TEXT))"},
    {"SELECT b.digest || ' of ' || r.name FROM registry_blobs b JOIN registry_repositories r "
     "ON r.id = b.repository WHERE NOT EXISTS (SELECT 1 FROM blob_holds h WHERE "
     "h.digest = b.digest AND h.purpose = 'registry' AND h.org = r.org AND "
     "h.org || '/' || h.repo = r.name AND h.holder = 'blob')",
     "DELETE FROM registry_blobs WHERE NOT EXISTS (SELECT 1 FROM blob_holds h JOIN "
     "registry_repositories r ON r.org = h.org AND h.org || '/' || h.repo = r.name WHERE "
     "r.id = registry_blobs.repository AND h.digest = registry_blobs.digest AND "
     "h.purpose = 'registry' AND h.holder = 'blob')"},
    {"SELECT m.digest || ' of ' || r.name FROM registry_manifests m JOIN registry_repositories r "
     "ON r.id = m.repository WHERE NOT EXISTS (SELECT 1 FROM blob_holds h WHERE "
     "h.digest = m.digest AND h.purpose = 'registry' AND h.org = r.org AND "
     "h.org || '/' || h.repo = r.name AND h.holder = 'manifest')",
     "DELETE FROM registry_manifests WHERE NOT EXISTS (SELECT 1 FROM blob_holds h JOIN "
     "registry_repositories r ON r.org = h.org AND h.org || '/' || h.repo = r.name WHERE "
     "r.id = registry_manifests.repository AND h.digest = registry_manifests.digest AND "
     "h.purpose = 'registry' AND h.holder = 'manifest')"},
}};

// Holds whose holder is gone.
constexpr std::array<std::string_view, 3> kIdleHolds = {
    "SELECT h.org, h.repo, h.purpose, h.holder, h.digest FROM blob_holds h WHERE "
    "h.purpose = 'cache' AND h.holder LIKE 'cache:%' AND NOT EXISTS (SELECT 1 FROM cache_entries "
    "e WHERE e.id = CAST(substr(h.holder, 7) AS BIGINT))",
    "SELECT h.org, h.repo, h.purpose, h.holder, h.digest FROM blob_holds h WHERE "
    "h.purpose = 'cache' AND h.holder LIKE 'artifact:%' AND NOT EXISTS (SELECT 1 FROM "
    "cache_artifacts e WHERE e.id = CAST(substr(h.holder, 10) AS BIGINT))",
    "SELECT h.org, h.repo, h.purpose, h.holder, h.digest FROM blob_holds h WHERE "
    "h.purpose = 'registry' AND NOT EXISTS (SELECT 1 FROM registry_repositories r WHERE "
    "r.name = h.org || '/' || h.repo)"};

std::optional<int64_t> number_after(std::string_view holder, std::string_view prefix) {
  if (!holder.starts_with(prefix)) return std::nullopt;
  holder.remove_prefix(prefix.size());
  int64_t id = 0;
  const auto [end, error] = std::from_chars(holder.data(), holder.data() + holder.size(), id);
  if (error != std::errc() || end != holder.data() + holder.size()) return std::nullopt;
  return id;
}

Result<void> drop_cached(db::Transaction& tx, const blob::Hold& hold, const blob::Digest&) {
  const Time now = system_clock().now();
  if (const auto id = number_after(hold.holder, kEntryHolder)) {
    if (const auto entry = TRY(cache::read_entry_in(tx, *id))) {
      TRY(cache::remove_entry_in(tx, *entry, now));
    }
  } else if (const auto artifact_id = number_after(hold.holder, kArtifactHolder)) {
    if (const auto artifact = TRY(cache::read_artifact_in(tx, *artifact_id))) {
      TRY(cache::remove_artifact_in(tx, *artifact, now));
    }
  }
  return {};
}

Result<void> drop_pushed(db::Transaction& tx, const blob::Hold& hold, const blob::Digest& digest) {
  return registry::drop_lost(tx, hold, digest, system_clock().now());
}

Result<std::vector<blob::Finding>> find_unheld_entries(db::Transaction& tx, bool repair) {
  std::vector<blob::Finding> findings;
  for (const HoldingTable& table : kHoldingTables) {
    const db::Rows rows = TRY(tx.query(table.rows));
    for (const db::Row& row : rows) {
      findings.push_back({"entry", row.text(0), "nothing keeps its bytes", false});
    }
    if (repair && !rows.empty()) TRY(tx.run(table.remove));
  }
  return findings;
}

Result<std::vector<blob::Finding>> find_idle_holds(db::Transaction& tx, bool repair) {
  std::vector<blob::Finding> findings;
  for (const std::string_view sql : kIdleHolds) {
    for (const db::Row& row : TRY(tx.query(sql))) {
      findings.push_back(
          {"entry", row.text(4),
           row.text(3) + " of " + row.text(0) + "/" + row.text(1) + " is gone and still keeps it",
           false});
      if (!repair) continue;
      const blob::Hold hold{row.text(0), row.text(1), blob::find_use(row.text(2)).value(),
                            row.text(3)};
      TRY(blob::release_in(tx, hold, TRY(blob::parse_digest(row.text(4))), system_clock().now()));
    }
  }
  return findings;
}

}  // namespace

void register_losses(blob::LossBook& losses) {
  losses.on_loss(blob::Use::cache, drop_cached);
  losses.on_loss(blob::Use::registry, drop_pushed);
}

std::vector<blob::CheckEntries> entry_checks() { return {find_unheld_entries, find_idle_holds}; }

}  // namespace nimbus::cli
