#include "cache/entry_row.h"

namespace nimbus::cache {

std::string select_entries(std::string_view rest) {
  return "SELECT id, org, repo, kind, scope, version, key, digest, size, created_us, used_us, "
         "writer, writer_ref, writer_event, writer_trust FROM cache_entries " +
         std::string(rest);
}

Result<Entry> entry_of(const db::Row& row) {
  Entry entry;
  entry.id = row.integer(0);
  entry.place.org = row.text(1);
  entry.place.repo = row.text(2);
  const auto kind = find_kind(row.text(3));
  if (!kind) return fail(Code::corrupt, "a cache entry has the unknown kind " + row.text(3));
  entry.place.kind = *kind;
  entry.place.scope = row.text(4);
  entry.place.version = row.text(5);
  entry.key = row.text(6);
  entry.blob = {TRY(blob::parse_digest(row.text(7))), row.integer(8)};
  entry.created_at = row.time(9);
  entry.used_at = row.time(10);
  entry.writer = {row.text(11), row.text(12), row.text(13), row.text(14)};
  return entry;
}

Result<std::vector<Entry>> entries_of(const db::Rows& rows) {
  std::vector<Entry> entries;
  entries.reserve(rows.size());
  for (const db::Row& row : rows) entries.push_back(TRY(entry_of(row)));
  return entries;
}

}  // namespace nimbus::cache
