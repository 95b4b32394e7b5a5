#include "blob/s3_xml.h"

#include <array>
#include <utility>

namespace nimbus::blob {
namespace {

std::string unescape(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, char>, 5> kEntities = {
      {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}}};
  std::string out;
  while (!text.empty()) {
    bool found = false;
    for (const auto& [entity, character] : kEntities) {
      if (!text.starts_with(entity)) continue;
      out += character;
      text.remove_prefix(entity.size());
      found = true;
      break;
    }
    if (found) continue;
    out += text[0];
    text.remove_prefix(1);
  }
  return out;
}

}  // namespace

std::vector<std::string_view> xml_elements(std::string_view xml, std::string_view tag) {
  const std::string open = "<" + std::string(tag) + ">";
  const std::string close = "</" + std::string(tag) + ">";
  std::vector<std::string_view> elements;
  for (size_t at = 0;;) {
    const size_t begin = xml.find(open, at);
    if (begin == std::string_view::npos) return elements;
    const size_t end = xml.find(close, begin);
    if (end == std::string_view::npos) return elements;
    elements.push_back(xml.substr(begin + open.size(), end - begin - open.size()));
    at = end + close.size();
  }
}

std::string xml_text(std::string_view xml, std::string_view tag) {
  const auto elements = xml_elements(xml, tag);
  return elements.empty() ? std::string() : unescape(elements[0]);
}

}  // namespace nimbus::blob
