// Lists: `limit` and `cursor` of a query, and the answer {"items":[…],"next_cursor":"…"|null}. A
// store is asked for one row more than the page holds: its presence is what makes a next cursor.
// Pure functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/http.h"

namespace nimbus::net {

constexpr int kPageDefault = 100;
constexpr int kPageMax = 1000;

struct Page {
  int limit = kPageDefault;
  std::string cursor;  // "" at the start
};

// bad_request: a limit that is no number from 1 to kPageMax, or a cursor too long to be one of
// ours.
Result<Page> read_page(const Request& request);

// `items` are JSON texts.
Response page_answer(const std::vector<std::string>& items,
                     const std::optional<std::string>& next_cursor);

// The answer of up to `limit` of `rows`; `show` gives a row's JSON text, `key` its cursor.
template <typename Row, typename Show, typename Key>
Response page_of(std::vector<Row> rows, int limit, Show show, Key key) {
  const bool more = rows.size() > static_cast<size_t>(limit);
  if (more) rows.resize(static_cast<size_t>(limit));
  std::vector<std::string> items;
  items.reserve(rows.size());
  for (const Row& row : rows) items.push_back(show(row));
  std::optional<std::string> next_cursor;
  if (more) next_cursor = key(rows.back());
  return page_answer(items, next_cursor);
}

}  // namespace nimbus::net
