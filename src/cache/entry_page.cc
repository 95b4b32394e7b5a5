#include "cache/entry_page.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/text.h"
#include "cache/entry_row.h"

namespace nimbus::cache {
namespace {

constexpr int kRowsAtOnce = 2'000;  // when most of them may be left out

constexpr std::array<std::string_view, 6> kSortNames = {"newest", "oldest",  "used",
                                                        "unused", "largest", "smallest"};

bool descends(EntrySort sort) {
  return sort == EntrySort::newest || sort == EntrySort::used || sort == EntrySort::largest;
}

std::string_view column_of(EntrySort sort) {
  if (sort == EntrySort::newest || sort == EntrySort::oldest) return "id";
  return sort == EntrySort::used || sort == EntrySort::unused ? "used_us" : "size";
}

EntryPosition position_of(const Entry& entry, EntrySort sort) {
  const std::string_view column = column_of(sort);
  if (column == "id") return {entry.id, entry.id};
  return {column == "size" ? entry.blob.size : to_us(entry.used_at), entry.id};
}

// The next rows in order, of an org or a repo: what the indexes know.
Result<std::vector<Entry>> read_rows(db::Transaction& tx, const EntryFilter& filter, EntrySort sort,
                                     const std::optional<EntryPosition>& after, int limit) {
  const auto org = filter.orgs.single();
  const std::string repo = to_lower(filter.repo.value_or(""));
  std::vector<db::Parameter> parameters;
  std::string sql = filter.orgs.is_nothing() ? "WHERE 1 = 0" : "WHERE 1 = 1";
  const auto add = [&](std::string_view condition, const db::Parameter& value) {
    parameters.push_back(value);
    sql += std::string(condition) + "$" + std::to_string(parameters.size());
  };
  if (org) add(" AND org = ", *org);
  if (org && filter.repo) add(" AND repo = ", repo);
  const std::string column(column_of(sort));
  const std::string order = descends(sort) ? " DESC" : "";
  if (after && column == "id") {
    add(descends(sort) ? " AND id < " : " AND id > ", after->id);
  } else if (after) {
    add(" AND (" + column + ", id) " + (descends(sort) ? "<" : ">") + " (", after->value);
    add(", ", after->id);
    sql += ")";
  }
  add(" ORDER BY " + column + order + ", id" + order + " LIMIT ", limit);
  return entries_of(TRY(tx.query_with(select_entries(sql), parameters)));
}

bool passes(const Entry& entry, const EntryFilter& filter) {
  return (!filter.repo || equal_ignoring_case(entry.place.repo, *filter.repo)) &&
         (!filter.scope || entry.place.scope == *filter.scope) &&
         (!filter.kind || entry.place.kind == *filter.kind) &&
         (!filter.key_prefix || entry.key.starts_with(*filter.key_prefix));
}

}  // namespace

std::optional<EntrySort> find_entry_sort(std::string_view name) {
  const auto* found = std::find(kSortNames.begin(), kSortNames.end(), name);
  if (found == kSortNames.end()) return std::nullopt;
  return static_cast<EntrySort>(found - kSortNames.begin());
}

std::string to_string(const EntryPosition& position) {
  return std::to_string(position.value) + ":" + std::to_string(position.id);
}

Result<EntryPosition> parse_position(std::string_view text) {
  EntryPosition position;
  const char* end = text.data() + text.size();
  const auto value = std::from_chars(text.data(), end, position.value);
  const bool separated = value.ec == std::errc() && value.ptr != end && *value.ptr == ':';
  const auto id = std::from_chars(separated ? value.ptr + 1 : end, end, position.id);
  if (!separated || id.ec != std::errc() || id.ptr != end) {
    return fail(Code::bad_request, "cursor is not one that a list gave");
  }
  return position;
}

Result<EntryPage> page_entries_in(db::Transaction& tx, const EntryFilter& filter, EntrySort sort,
                                  const std::optional<EntryPosition>& after) {
  const size_t wanted = static_cast<size_t>(filter.limit);
  const bool of_any_org = filter.repo && !filter.orgs.single();
  const bool sifts = filter.scope || filter.kind || filter.key_prefix || of_any_org;
  const int at_once = sifts ? kRowsAtOnce : filter.limit + 1;
  EntryPage page;
  std::optional<EntryPosition> last = after;
  for (int looked_at = 0; looked_at < kLookedAtMax; looked_at += at_once) {
    std::vector<Entry> rows = TRY(read_rows(tx, filter, sort, last, at_once));
    for (Entry& row : rows) {
      if (page.entries.size() == wanted) {  // and there is at least one more to look at
        page.next = last;
        return page;
      }
      last = position_of(row, sort);
      if (passes(row, filter)) page.entries.push_back(std::move(row));
    }
    if (rows.size() < static_cast<size_t>(at_once)) return page;
  }
  page.next = last;
  return page;
}

}  // namespace nimbus::cache
