// The little of S3's XML that a store reads: text of elements by name, wherever they stand. Answers
// are bounded by the client, and names of objects are our own, so no parser is needed.
// Threads: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nimbus::blob {

// The text of the first `<tag>…</tag>`, or "".
std::string xml_text(std::string_view xml, std::string_view tag);
// What stands in each `<tag>…</tag>`, markup included.
std::vector<std::string_view> xml_elements(std::string_view xml, std::string_view tag);

}  // namespace nimbus::blob
