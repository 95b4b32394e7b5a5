#include "cache/block_list.h"

#include "base/text.h"
#include "cache/upload_session.h"

namespace nimbus::cache {
namespace {

auto malformed(std::string_view what) {
  return fail(Code::bad_request, "the block list is not well-formed: " + std::string(what));
}

// Takes `start` off the front of `text`; false when it is not there.
bool take(std::string_view& text, std::string_view start) {
  if (!text.starts_with(start)) return false;
  text.remove_prefix(start.size());
  return true;
}

// The name of the element that opens here, or "".
std::string_view take_opening(std::string_view& text) {
  for (const std::string_view name : {"Latest", "Uncommitted", "Committed"}) {
    if (take(text, "<" + std::string(name) + ">")) return name;
  }
  return "";
}

}  // namespace

Result<std::vector<std::string>> parse_block_list(std::string_view xml) {
  if (xml.size() > kBlockListBytesMax) return malformed("it is too long");
  std::string_view rest = trim(xml);
  take(rest, "\xef\xbb\xbf");
  if (take(rest, "<?xml")) {
    const size_t end = rest.find("?>");
    if (end == std::string_view::npos) return malformed("its declaration has no end");
    rest = trim(rest.substr(end + 2));
  }
  if (!take(rest, "<BlockList>")) return malformed("it does not begin with BlockList");
  std::vector<std::string> blocks;
  for (rest = trim(rest); !take(rest, "</BlockList>"); rest = trim(rest)) {
    const std::string_view name = take_opening(rest);
    const size_t end = rest.find('<');
    if (name.empty() || end == std::string_view::npos) return malformed("an unknown element");
    const std::string_view id = trim(rest.substr(0, end));
    if (id.empty() || id.size() > kBlockIdBytesMax) return malformed("an id of a wrong length");
    if (blocks.size() == kBlocksMax) return malformed("it has too many blocks");
    blocks.emplace_back(id);
    rest.remove_prefix(end);
    if (!take(rest, "</" + std::string(name) + ">")) return malformed("an element has no end");
  }
  if (!trim(rest).empty()) return malformed("something follows its end");
  return blocks;
}

}  // namespace nimbus::cache
