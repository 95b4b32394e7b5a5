// Cache entries in the database, each with its hold on a blob: both change in one transaction, so
// usage and garbage are exact after any crash.
//
// Threads: every function runs on a database thread, inside a transaction.
// Not here: who may read what (reach.h), bytes (blob/store.h).
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "access/scope.h"
#include "cache/entry.h"
#include "db/database.h"

namespace nimbus::cache {

// The entry with exactly this key.
Result<std::optional<Entry>> find_entry_in(db::Transaction& tx, const Place& place,
                                           std::string_view key);
// The newest whose key starts with `prefix`. Cheap for rare prefixes and for common ones: it looks
// at the newest entries and at the range of keys by turns, and the shorter way ends the search.
Result<std::optional<Entry>> find_newest_in(db::Transaction& tx, const Place& place,
                                            std::string_view prefix);
Result<std::optional<Entry>> read_entry_in(db::Transaction& tx, int64_t id);

// What a restore looks for: in each scope in turn, each key in turn, exactly and then as a prefix.
struct Lookup {
  std::string org;
  std::string repo;
  std::vector<std::string> scopes;
  std::string version;
  std::vector<std::string> keys;  // the first is the primary one
};
Result<std::optional<Entry>> find_match_in(db::Transaction& tx, const Lookup& lookup);

// Its id. conflict: the key is taken there; nothing was changed.
Result<int64_t> insert_entry_in(db::Transaction& tx, const NewEntry& entry, Time now);
// The same, in the place of what was there; true when there was something.
Result<bool> replace_entry_in(db::Transaction& tx, const NewEntry& entry, Time now);
Result<void> remove_entry_in(db::Transaction& tx, const Entry& entry, Time now);

using Use = std::pair<int64_t, Time>;  // an entry's id and when it was last read
Result<void> note_uses_in(db::Transaction& tx, const std::vector<Use>& uses);

// The least recently used of an org, or of one of its repos when that is named.
Result<std::vector<Entry>> least_used_in(db::Transaction& tx, const std::string& org,
                                         const std::string& repo, int limit);
// Entries that nobody read since `before`.
Result<std::vector<Entry>> idle_entries_in(db::Transaction& tx, Time before, int limit);

struct EntryFilter {
  access::OrgScope orgs;
  std::optional<std::string> repo;
  std::optional<std::string> scope;
  std::optional<std::string> key_prefix;
  std::optional<Kind> kind;
  int64_t before = INT64_MAX;  // ids below
  int limit = 100;
};
// Newest first.
Result<std::vector<Entry>> list_entries_in(db::Transaction& tx, const EntryFilter& filter);

// Entries that jobs of more trust than their writer's can read: there must be none. Same filter.
Result<std::vector<Entry>> audit_entries_in(db::Transaction& tx, const EntryFilter& filter);

}  // namespace nimbus::cache
