// A page of a list, printed: the server's JSON, or a table and how to get the next page. Threads:
// one.
#pragma once

#include <boost/json/fwd.hpp>
#include <functional>
#include <string>

#include "cli/api_client.h"

namespace nimbus::cli {

// `table` is given the page's items. corrupt: the answer is no page.
Result<int> print_page(const boost::json::value& page, bool as_json,
                       const std::function<std::string(const boost::json::array&)>& table);

// The answer to a removal of many: how many `things`, and their size.
int print_removed(const boost::json::value& answer, bool as_json, std::string_view things);

// Cells that several lists have: of `size_bytes`; "acme/app", or "acme/*" for the whole org's.
std::string size_cell(const boost::json::object& object);
std::string repo_cell(const boost::json::object& object);

// Options that every list takes.
extern const Option kLimitOption;
extern const Option kCursorOption;

}  // namespace nimbus::cli
