// Rows of cache_entries as entries. Private to this folder. Threads: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cache/entry.h"
#include "db/database.h"

namespace nimbus::cache {

// "SELECT … FROM cache_entries REST", with the columns that `entry_of` reads.
std::string select_entries(std::string_view rest);
// corrupt: a row that this program cannot have written.
Result<Entry> entry_of(const db::Row& row);
Result<std::vector<Entry>> entries_of(const db::Rows& rows);

}  // namespace nimbus::cache
