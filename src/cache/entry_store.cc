#include "cache/entry_store.h"

#include <array>

#include "base/check.h"
#include "base/text.h"
#include "blob/catalog.h"
#include "cache/entry_row.h"

namespace nimbus::cache {
namespace {

using db::Parameter;
using db::Row;

constexpr std::string_view kInPlace =
    "org = $1 AND repo = $2 AND kind = $3 AND scope = $4 AND version = $5";
// Above every key that starts with the text before it.
constexpr std::string_view kHighest = "\U0010FFFF";
constexpr int kFirstLook = 64;  // rows

Result<std::optional<Entry>> entry_or_none(const std::optional<Row>& row) {
  if (!row) return std::nullopt;
  return TRY(entry_of(*row));
}

blob::Hold hold_of(const Place& place, int64_t id) {
  return {place.org, place.repo, blob::Use::cache, "cache:" + std::to_string(id)};
}

}  // namespace

Result<std::optional<Entry>> find_entry_in(db::Transaction& tx, const Place& place,
                                           std::string_view key) {
  static const std::string kSql =
      select_entries("WHERE " + std::string(kInPlace) + " AND key = $6");
  return entry_or_none(TRY(tx.find(kSql, place.org, place.repo, to_string(place.kind), place.scope,
                                   place.version, key)));
}

Result<std::optional<Entry>> find_newest_in(db::Transaction& tx, const Place& place,
                                            std::string_view prefix) {
  static const std::string kInRange =
      "SELECT count(*), max(id) FROM (SELECT id FROM cache_entries INDEXED BY cache_entries_by_key "
      "WHERE " +
      std::string(kInPlace) + " AND key >= $6 AND key < $7 LIMIT $8)";
  // Parameters count in the order of their first use.
  static const std::string kAmongNewest =
      "SELECT max(id) FROM (SELECT id, key FROM cache_entries INDEXED BY cache_entries_by_age "
      "WHERE " +
      std::string(kInPlace) + " ORDER BY id DESC LIMIT $6) WHERE key >= $7 AND key < $8";
  const std::string_view kind = to_string(place.kind);
  const std::string end = std::string(prefix) + std::string(kHighest);
  for (int64_t budget = kFirstLook;; budget *= 4) {
    const auto range = TRY(tx.find(kInRange, place.org, place.repo, kind, place.scope,
                                   place.version, prefix, end, budget));
    if (range->integer(0) < budget) {  // that is all there is
      const auto id = range->find_integer(1);
      return id ? read_entry_in(tx, *id) : std::optional<Entry>();
    }
    const auto newest = TRY(tx.find(kAmongNewest, place.org, place.repo, kind, place.scope,
                                    place.version, budget, prefix, end));
    if (const auto id = newest->find_integer(0)) return read_entry_in(tx, *id);
  }
}

Result<std::optional<Entry>> read_entry_in(db::Transaction& tx, int64_t id) {
  static const std::string kSql = select_entries("WHERE id = $1");
  return entry_or_none(TRY(tx.find(kSql, id)));
}

Result<std::optional<Entry>> find_match_in(db::Transaction& tx, const Lookup& lookup) {
  for (const std::string& scope : lookup.scopes) {
    const Place place{lookup.org, lookup.repo, Kind::actions, scope, lookup.version};
    for (const std::string& key : lookup.keys) {
      if (auto exact = TRY(find_entry_in(tx, place, key))) return exact;
      if (auto newest = TRY(find_newest_in(tx, place, key))) return newest;
    }
  }
  return std::nullopt;
}

Result<int64_t> insert_entry_in(db::Transaction& tx, const NewEntry& entry, Time now) {
  const Place& place = entry.place;
  const Writer& writer = entry.writer;
  if (TRY(find_entry_in(tx, place, entry.key))) {
    return fail(Code::conflict, "there is an entry with this key already");
  }
  const std::string digest = blob::to_string(entry.blob.digest);
  const std::array<Parameter, 13> values = {
      place.org,  place.repo,   to_string(place.kind), place.scope, place.version,
      entry.key,  digest,       entry.blob.size,       now,         writer.by,
      writer.ref, writer.event, writer.trust};
  const auto inserted = TRY(tx.insert_with(
      "INSERT INTO cache_entries (org, repo, kind, scope, version, key, digest, size, created_us, "
      "used_us, writer, writer_ref, writer_event, writer_trust) VALUES ($1, $2, $3, $4, $5, $6, "
      "$7, $8, $9, $9, $10, $11, $12, $13)",
      values));
  CHECK(inserted.has_value());
  const int64_t id = *inserted;
  TRY(blob::hold_in(tx, hold_of(place, id), entry.blob, now));
  return id;
}

Result<bool> replace_entry_in(db::Transaction& tx, const NewEntry& entry, Time now) {
  const auto before = TRY(find_entry_in(tx, entry.place, entry.key));
  if (before) TRY(remove_entry_in(tx, *before, now));
  TRY(insert_entry_in(tx, entry, now));
  return before.has_value();
}

Result<void> remove_entry_in(db::Transaction& tx, const Entry& entry, Time now) {
  const int64_t removed = TRY(tx.run("DELETE FROM cache_entries WHERE id = $1", entry.id));
  if (removed == 0) return {};
  TRY(blob::release_in(tx, hold_of(entry.place, entry.id), entry.blob.digest, now));
  return {};
}

Result<void> note_uses_in(db::Transaction& tx, const std::vector<Use>& uses) {
  for (const auto& [id, at] : uses) {
    TRY(tx.run("UPDATE cache_entries SET used_us = $1 WHERE id = $2 AND used_us < $1", at, id));
  }
  return {};
}

Result<std::vector<Entry>> least_used_in(db::Transaction& tx, const std::string& org,
                                         const std::string& repo, int limit) {
  static const std::string kOfOrg = select_entries("WHERE org = $1 ORDER BY used_us LIMIT $2");
  static const std::string kOfRepo =
      select_entries("WHERE org = $1 AND repo = $2 ORDER BY used_us LIMIT $3");
  if (repo.empty()) return entries_of(TRY(tx.query(kOfOrg, org, limit)));
  return entries_of(TRY(tx.query(kOfRepo, org, repo, limit)));
}

Result<std::vector<Entry>> idle_entries_in(db::Transaction& tx, Time before, int limit) {
  static const std::string kSql = select_entries("WHERE used_us < $1 ORDER BY used_us LIMIT $2");
  return entries_of(TRY(tx.query(kSql, before, limit)));
}

namespace {

// The filter as a WHERE clause; parameters borrow from it.
struct Conditions {
  std::string sql;
  std::vector<std::string> texts;
  std::vector<Parameter> parameters;

  explicit Conditions(const EntryFilter& filter) {
    texts.reserve(8);
    sql = "WHERE id < $1";
    parameters.emplace_back(filter.before);
    const auto orgs = filter.orgs.filter("org", static_cast<int>(parameters.size()) + 1);
    sql += " AND " + (filter.orgs.single() ? "org = $2" : orgs.sql);
    if (orgs.parameter) add_text(to_lower(*orgs.parameter));
    if (filter.repo) add("repo = ", to_lower(*filter.repo));
    if (filter.scope) add("scope = ", *filter.scope);
    if (filter.kind) add("kind = ", std::string(to_string(*filter.kind)));
    if (filter.key_prefix) {
      add("key >= ", *filter.key_prefix);
      add("key < ", *filter.key_prefix + std::string(kHighest));
    }
  }
  void add(std::string_view condition, std::string value) {
    add_text(std::move(value));
    sql += " AND " + std::string(condition) + "$" + std::to_string(parameters.size());
  }
  void add_text(std::string value) {
    texts.push_back(std::move(value));
    parameters.emplace_back(std::string_view(texts.back()));
  }
};

Result<std::vector<Entry>> list(db::Transaction& tx, const EntryFilter& filter,
                                std::string_view index, std::string_view more) {
  Conditions conditions(filter);
  conditions.parameters.emplace_back(filter.limit);
  const std::string sql =
      select_entries(std::string(index) + conditions.sql + std::string(more) +
                     " ORDER BY id DESC LIMIT $" + std::to_string(conditions.parameters.size()));
  return entries_of(TRY(tx.query_with(sql, conditions.parameters)));
}

}  // namespace

Result<std::vector<Entry>> list_entries_in(db::Transaction& tx, const EntryFilter& filter) {
  // Of one scope: never a walk through the others'.
  const bool of_scope = filter.orgs.single() && filter.repo && filter.kind && filter.scope;
  return list(tx, filter, of_scope ? "INDEXED BY cache_entries_by_age " : "", "");
}

Result<std::vector<Entry>> audit_entries_in(db::Transaction& tx, const EntryFilter& filter) {
  // Everybody reads the shared scope and the branches; nobody but its own jobs an isolated one. The
  // findings have an index of their own, so that an audit of many entries costs no more.
  return list(tx, filter, "INDEXED BY cache_entries_misplaced ",
              " AND writer_trust NOT IN ('branch', 'native', 'operator') AND "
              "(scope = 'refs/nimbus/shared' OR (scope NOT LIKE 'refs/pull/%' AND "
              "scope NOT LIKE 'refs/nimbus/%'))");
}

}  // namespace nimbus::cache
