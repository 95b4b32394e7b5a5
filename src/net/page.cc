#include "net/page.h"

#include <charconv>

#include "base/json.h"
#include "base/text.h"

namespace nimbus::net {
namespace {

constexpr size_t kCursorBytesMax = 512;

}  // namespace

Result<Page> read_page(const Request& request) {
  Page page;
  if (const auto limit = request.find_query("limit")) {
    const char* end = limit->data() + limit->size();
    const auto [rest, error] = std::from_chars(limit->data(), end, page.limit);
    if (error != std::errc() || rest != end || page.limit < 1 || page.limit > kPageMax) {
      return fail(Code::bad_request,
                  "limit must be a number from 1 to " + std::to_string(kPageMax));
    }
  }
  page.cursor = request.find_query("cursor").value_or("");
  if (page.cursor.size() > kCursorBytesMax) {
    return fail(Code::bad_request, "cursor is not one that a list gave");
  }
  return page;
}

Response page_answer(const std::vector<std::string>& items,
                     const std::optional<std::string>& next_cursor) {
  return Response::json(200, "{\"items\":[" + join(items, ",") + "],\"next_cursor\":" +
                                 (next_cursor ? json_quote(*next_cursor) : "null") + "}");
}

}  // namespace nimbus::net
