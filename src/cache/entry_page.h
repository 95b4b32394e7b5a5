// Pages of cache entries in the order that people ask for: by age, last use or size.
//
// A page costs the same however many entries there are: rows come in the order of an index, and
// where a filter (scope, kind, key) leaves most of them out, a page ends after kLookedAtMax rows
// with few entries, or none, and says where the next one begins.
//
// Threads: database threads, inside a transaction.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cache/entry_store.h"

namespace nimbus::cache {

constexpr int kLookedAtMax = 20'000;  // rows, for one page

// Each the exact reverse of its neighbour. used: latest use first.
enum class EntrySort { newest, oldest, used, unused, largest, smallest };
std::optional<EntrySort> find_entry_sort(std::string_view name);

// Where a page ended: the last row looked at.
struct EntryPosition {
  int64_t value = 0;  // what the rows are sorted by
  int64_t id = 0;
  bool operator==(const EntryPosition&) const = default;
};
std::string to_string(const EntryPosition& position);
// bad_request: not one that a page gave.
Result<EntryPosition> parse_position(std::string_view text);

struct EntryPage {
  std::vector<Entry> entries;
  std::optional<EntryPosition> next;
};
// Up to `filter.limit` entries after `after`; `filter.before` is not used.
Result<EntryPage> page_entries_in(db::Transaction& tx, const EntryFilter& filter, EntrySort sort,
                                  const std::optional<EntryPosition>& after);

}  // namespace nimbus::cache
