// Lists: `limit` and `cursor` of a query, and the answer {"items":[…],"next_cursor":"…"|null}.
// Pure functions.
#pragma once

#include <boost/json/fwd.hpp>
#include <optional>
#include <string>

#include "base/result.h"
#include "net/http.h"

namespace nimbus::control {

constexpr int kPageDefault = 100;
constexpr int kPageMax = 1000;

struct Page {
  int limit = kPageDefault;
  std::string cursor;  // "" at the start
};

// bad_request: a limit that is no number from 1 to kPageMax, or a cursor too long to be one of ours.
Result<Page> read_page(const net::Request& request);

net::Response page_answer(boost::json::array items, const std::optional<std::string>& next_cursor);

}  // namespace nimbus::control
