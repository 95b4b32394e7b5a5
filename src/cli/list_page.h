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

// Options that every list takes.
extern const Option kLimitOption;
extern const Option kCursorOption;

}  // namespace nimbus::cli
