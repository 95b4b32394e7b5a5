#include "cache/query.h"

#include <charconv>

#include "api/json_text.h"
#include "base/text.h"

namespace nimbus::cache {

Result<int64_t> parse_number(std::string_view text, std::string_view fault) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    return fail(Code::bad_request, std::string(fault));
  }
  return number;
}

Result<int64_t> parse_cursor(const net::Page& page) {
  if (page.cursor.empty()) return INT64_MAX;
  return parse_number(page.cursor, "cursor is not one that a list gave");
}

Result<std::string> read_purged_org(const net::Request& request, const access::Caller& caller) {
  const auto org = request.find_query("org");
  if (!org || org->empty()) {
    return fail(Code::bad_request, "the query must name an org", "add ?org=NAME");
  }
  TRY(caller.orgs.require(*org, "org"));
  return to_lower(*org);
}

net::Response removed_answer(const Removed& removed) {
  return net::Response::json(200, api::JsonText()
                                      .integer("deleted", removed.count)
                                      .integer("size_bytes", removed.bytes)
                                      .finish());
}

}  // namespace nimbus::cache
