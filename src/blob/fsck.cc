#include "blob/fsck.h"

#include <map>

namespace nimbus::blob {
namespace {

constexpr int kPage = 256;

constexpr std::string_view kOrgSums =
    "SELECT org, purpose, '' AS repo, sum(size), count(*) FROM (SELECT DISTINCT h.org, h.purpose, "
    "h.digest, b.size FROM blob_holds h JOIN blobs b ON b.digest = h.digest) AS held "
    "GROUP BY org, purpose";
constexpr std::string_view kRepoSums =
    "SELECT org, purpose, repo, sum(size), count(*) FROM (SELECT DISTINCT h.org, h.purpose, "
    "h.repo, h.digest, b.size FROM blob_holds h JOIN blobs b ON b.digest = h.digest) AS held "
    "GROUP BY org, purpose, repo";
constexpr std::string_view kOrgUsage =
    "SELECT org, purpose, '' AS repo, bytes, blobs FROM blob_org_usage WHERE bytes <> 0 OR "
    "blobs <> 0";
constexpr std::string_view kRepoUsage =
    "SELECT org, purpose, repo, bytes, blobs FROM blob_repo_usage WHERE bytes <> 0 OR blobs <> 0";

using Sums = std::map<std::string, Usage>;

Result<Sums> read_sums(db::Transaction& tx, std::string_view sql) {
  Sums sums;
  for (const db::Row& row : TRY(tx.query(sql))) {
    const std::string& repo = row.text(2);
    const std::string name = row.text(1) + " of " + row.text(0) + (repo.empty() ? "" : "/" + repo);
    sums[name] = {row.integer(3), row.integer(4)};
  }
  return sums;
}

std::string describe(const Usage& usage) {
  return std::to_string(usage.bytes) + " bytes in " + std::to_string(usage.blobs) + " blobs";
}

void compare(const Sums& held, const Sums& counted, std::vector<Finding>& findings) {
  Sums all = held;
  all.insert(counted.begin(), counted.end());
  for (const auto& [name, ignored] : all) {
    const auto is = held.find(name);
    const auto said = counted.find(name);
    const Usage real = is == held.end() ? Usage{} : is->second;
    const Usage kept = said == counted.end() ? Usage{} : said->second;
    if (real.bytes == kept.bytes && real.blobs == kept.blobs) continue;
    findings.push_back(
        {"usage", name, "counted as " + describe(kept) + ", is " + describe(real), false});
  }
}

Result<void> find_unknown_holds(db::Transaction& tx, bool repair, std::vector<Finding>& findings) {
  const auto rows =
      TRY(tx.query("SELECT h.digest, h.org, h.repo, h.holder FROM blob_holds h WHERE NOT EXISTS "
                   "(SELECT 1 FROM blobs b WHERE b.digest = h.digest)"));
  for (const db::Row& row : rows) {
    findings.push_back(
        {"unknown-hold", row.text(0),
         row.text(3) + " of " + row.text(1) + "/" + row.text(2) + " holds a blob that is not known",
         false});
  }
  if (repair && !rows.empty()) {
    TRY(
        tx.run("DELETE FROM blob_holds WHERE NOT EXISTS "
               "(SELECT 1 FROM blobs WHERE blobs.digest = blob_holds.digest)"));
  }
  return {};
}

Result<void> find_wrong_states(db::Transaction& tx, bool repair, Time now,
                               std::vector<Finding>& findings) {
  constexpr std::string_view kHeld =
      "EXISTS (SELECT 1 FROM blob_holds WHERE blob_holds.digest = blobs.digest)";
  const std::string wrong = "(released_us IS NOT NULL AND " + std::string(kHeld) +
                            ") OR (released_us IS NULL AND NOT " + std::string(kHeld) + ")";
  for (const db::Row& row : TRY(tx.query("SELECT digest, released_us FROM blobs WHERE " + wrong))) {
    findings.push_back({"state", row.text(0),
                        row.is_null(1) ? "nobody holds it and it is not garbage"
                                       : "it is held and marked as garbage",
                        false});
  }
  if (!repair) return {};
  TRY(
      tx.run("UPDATE blobs SET released_us = NULL, condemned = 0 WHERE released_us IS NOT NULL "
             "AND " +
             std::string(kHeld)));
  TRY(tx.run(
      "UPDATE blobs SET released_us = $1 WHERE released_us IS NULL AND NOT " + std::string(kHeld),
      now));
  return {};
}

Result<void> count_anew(db::Transaction& tx) {
  TRY(tx.run("DELETE FROM blob_org_usage"));
  TRY(tx.run("DELETE FROM blob_repo_usage"));
  TRY(
      tx.run("INSERT INTO blob_org_usage (org, purpose, bytes, blobs) SELECT org, purpose, "
             "sum(size), count(*) FROM (SELECT DISTINCT h.org, h.purpose, h.digest, b.size FROM "
             "blob_holds h JOIN blobs b ON b.digest = h.digest) AS held GROUP BY org, purpose"));
  TRY(
      tx.run("INSERT INTO blob_repo_usage (org, purpose, repo, bytes, blobs) SELECT org, purpose, "
             "repo, sum(size), count(*) FROM (SELECT DISTINCT h.org, h.purpose, h.repo, h.digest, "
             "b.size FROM blob_holds h JOIN blobs b ON b.digest = h.digest) AS held "
             "GROUP BY org, purpose, repo"));
  return {};
}

// One snapshot, so that a running server's work is seen whole or not at all.
Result<std::vector<Finding>> check_tables(db::Transaction& tx, const FsckOptions& options,
                                          Time now) {
  std::vector<Finding> findings;
  for (const CheckEntries& check : options.checks) {
    for (Finding& finding : TRY(check(tx, options.repair))) findings.push_back(std::move(finding));
  }
  TRY(find_unknown_holds(tx, options.repair, findings));
  TRY(find_wrong_states(tx, options.repair, now, findings));
  compare(TRY(read_sums(tx, kOrgSums)), TRY(read_sums(tx, kOrgUsage)), findings);
  compare(TRY(read_sums(tx, kRepoSums)), TRY(read_sums(tx, kRepoUsage)), findings);
  if (!options.repair) return findings;
  TRY(count_anew(tx));
  for (Finding& finding : findings) finding.repaired = true;
  return findings;
}

struct Check {
  db::Database& database;
  Store& store;
  Collector& collector;
  const LossBook& losses;
  const FsckOptions& options;
  FsckReport report;

  Task<Result<bool>> still_known(Digest digest);
  Task<Result<void>> check_blob(BlobInfo blob);
  Task<Result<void>> check_blobs();
  Task<Result<void>> find_orphans();
};

Task<Result<bool>> Check::still_known(Digest digest) {
  std::function<Result<bool>(db::Transaction&)> work = [digest](db::Transaction& tx) {
    return is_stored_in(tx, digest);
  };
  co_return co_await database.read<bool>(std::move(work));
}

Task<Result<void>> Check::check_blob(BlobInfo blob) {
  ++report.blobs;
  report.bytes += blob.size;
  Finding finding{"", to_string(blob.digest), "", false};
  const auto found = co_await store.find(blob.digest);
  if (!found && found.error().code != Code::not_found) co_return fail(found.error());
  if (!found) {
    finding.kind = "missing";
    finding.detail = "its bytes are not in the store";
  } else if (found->size != blob.size) {
    finding.kind = "wrong-size";
    finding.detail = std::to_string(found->size) + " bytes instead of " + std::to_string(blob.size);
  } else if (options.read_bytes) {
    CO_TRY_ASSIGN(const Health health, co_await store.verify(blob.digest, 0));
    if (health == Health::rotten) finding.kind = "rotten";
    finding.detail = "its bytes are not what its name says";
    if (health == Health::missing) finding.kind = "missing";
  }
  if (finding.kind.empty()) co_return Result<void>();
  CO_TRY_ASSIGN(const bool known, co_await still_known(blob.digest));
  if (!known) co_return Result<void>();  // collected while we looked
  if (options.repair) {
    const bool aside = finding.kind != "missing";
    CO_TRY_ASSIGN(finding.repaired, co_await collector.take_out(blob, losses, aside));
  }
  report.findings.push_back(std::move(finding));
  co_return Result<void>();
}

Task<Result<void>> Check::check_blobs() {
  std::optional<Digest> after;
  for (;;) {
    std::function<Result<std::vector<BlobInfo>>(db::Transaction&)> work =
        [after](db::Transaction& tx) { return blobs_in(tx, after, kPage); };
    CO_TRY_ASSIGN(const auto page, co_await database.read<std::vector<BlobInfo>>(std::move(work)));
    if (page.empty()) co_return Result<void>();
    for (const BlobInfo& blob : page) {
      CO_TRY(co_await check_blob(blob));
    }
    after = page.back().digest;
  }
}

Task<Result<void>> Check::find_orphans() {
  std::optional<Digest> after;
  const Time young = system_clock().now() - options.grace;
  for (;;) {
    CO_TRY_ASSIGN(const auto page, co_await store.list(after, kPage));
    if (page.empty()) break;
    after = page.back().digest;
    std::function<Result<std::vector<BlobInfo>>(db::Transaction&)> work =
        [page](db::Transaction& tx) { return unknown_in(tx, page); };
    CO_TRY_ASSIGN(const auto unknown,
                  co_await database.read<std::vector<BlobInfo>>(std::move(work)));
    for (const BlobInfo& blob : unknown) {
      const auto stored = co_await store.stored_at(blob.digest);
      if (!stored || *stored > young) continue;
      report.findings.push_back({"orphan", to_string(blob.digest),
                                 std::to_string(blob.size) + " bytes that no row names",
                                 options.repair});
    }
  }
  if (options.repair) {
    CO_TRY(co_await collector.sweep(options.grace));
  }
  co_return Result<void>();
}

}  // namespace

Task<Result<FsckReport>> fsck(db::Database& database, Store& store, Collector& collector,
                              const LossBook& losses, const FsckOptions& options) {
  using Findings = std::vector<Finding>;
  std::function<Result<Findings>(db::Transaction&)> work =
      [&options, now = system_clock().now()](db::Transaction& tx) {
        return check_tables(tx, options, now);
      };
  Check check{database, store, collector, losses, options, {}};
  if (options.repair) {
    CO_TRY_ASSIGN(check.report.findings, co_await database.write<Findings>(std::move(work)));
  } else {
    CO_TRY_ASSIGN(check.report.findings, co_await database.read<Findings>(std::move(work)));
  }
  CO_TRY(co_await check.check_blobs());
  CO_TRY(co_await check.find_orphans());
  co_return std::move(check.report);
}

}  // namespace nimbus::blob
