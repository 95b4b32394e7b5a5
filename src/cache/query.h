// What the operators' routes of caches and of artifacts read from a request in the same way, and
// what they answer to a removal. Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "access/caller.h"
#include "base/result.h"
#include "net/http.h"
#include "net/page.h"

namespace nimbus::cache {

// bad_request, in the words of `fault`.
Result<int64_t> parse_number(std::string_view text, std::string_view fault);
// The id that a page's rows lie below; INT64_MAX for the first page.
Result<int64_t> parse_cursor(const net::Page& page);
// The org whose things go, in lower case. bad_request: none is named; nobody removes from every org
// at once. not_found: another's.
Result<std::string> read_purged_org(const net::Request& request, const access::Caller& caller);

struct Removed {
  int64_t count = 0;
  int64_t bytes = 0;
};
net::Response removed_answer(const Removed& removed);

}  // namespace nimbus::cache
