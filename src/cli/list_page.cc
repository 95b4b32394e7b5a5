#include "cli/list_page.h"

#include <boost/json.hpp>
#include <cstdio>

#include "base/json.h"
#include "cli/option_checks.h"
#include "cli/table.h"

namespace nimbus::cli {

const Option kLimitOption = {"--limit", "N", "At most so many, up to 1000 (default 50)",
                             false,     "",  page_limit};
const Option kCursorOption = {"--cursor", "CURSOR", "Go on where a page ended"};

Result<int> print_page(const boost::json::value& page, bool as_json,
                       const std::function<std::string(const boost::json::array&)>& table) {
  if (as_json) {
    print_json(page);
    return kExitDone;
  }
  const auto* object = page.if_object();
  const boost::json::array* items = nullptr;
  if (object != nullptr) items = TRY_IN("the server's answer", find_array(*object, "items"));
  if (items == nullptr) return fail(Code::corrupt, "the server's answer is not a list");
  print_out(table(*items));
  const auto cursor = TRY(find_text(*object, "next_cursor"));
  if (cursor) std::fprintf(stderr, "more with: --cursor %s\n", printable(*cursor).c_str());
  return kExitDone;
}

int print_removed(const boost::json::value& answer, bool as_json, std::string_view things) {
  if (as_json) {
    print_json(answer);
  } else if (answer.is_object()) {
    const auto& counts = answer.get_object();
    print_out("removed " + cell(counts, "deleted") + " " + std::string(things) + ", " +
              size_cell(counts) + "\n");
  }
  return kExitDone;
}

std::string size_cell(const boost::json::object& object) {
  const auto* bytes = object.if_contains("size_bytes");
  return bytes != nullptr && bytes->is_int64() ? bytes_text(bytes->get_int64()) : "-";
}

std::string repo_cell(const boost::json::object& object) {
  const std::string repo = cell(object, "repo");
  return cell(object, "org") + "/" + (repo.empty() ? "*" : repo);
}

}  // namespace nimbus::cli
