// An image's documents and layers from outside: index, manifest, config and reference as text, and
// the entries of a layer as the merged tree takes them. Whatever is accepted keeps the tree's
// promises.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "image/manifest.h"
#include "image/tree.h"

using namespace nimbus;
using namespace nimbus::image;

namespace {

void check_documents(std::string_view text) {
  if (const auto manifest = parse_manifest(text)) {
    // What was accepted can be written and read again.
    const auto again = parse_manifest(to_json(*manifest));
    if (!again || again->layers.size() != manifest->layers.size()) std::abort();
  }
  if (const auto index = parse_index(text))
    if (!parse_index(to_json(*index))) std::abort();
  (void)parse_config(text);
  if (const auto reference = parse_reference(text))
    if (reference->name.empty() && reference->digest.empty()) std::abort();
}

// Each line is an entry: its first byte says the type and the layer, a link's target follows a `>`.
void check_tree(std::string_view text) {
  Tree tree;
  int layer = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty()) continue;
    const auto kind = static_cast<unsigned char>(line.front());
    line.remove_prefix(1);
    if (kind & 0x80) ++layer;
    Entry entry;
    entry.type = static_cast<EntryType>(kind % 6);
    entry.layer = layer;
    const size_t arrow = line.find('>');
    if (arrow != std::string_view::npos) entry.link = line.substr(arrow + 1);
    (void)tree.apply(line.substr(0, arrow), std::move(entry));
  }
  tree.walk([](const std::string& path, const Node& node) {
    const std::string framed = "/" + path + "/";
    const bool climbs = framed.find("/../") != std::string::npos ||
                        framed.find("/./") != std::string::npos ||
                        framed.find("//") != std::string::npos;
    const bool odd =
        node.entry->type == EntryType::hardlink || node.entry->type == EntryType::other;
    const bool grown = !node.children.empty() && node.entry->type != EntryType::directory;
    if (climbs || odd || grown || path.find("/.wh.") != std::string::npos) std::abort();
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  check_documents(input);
  check_tree(input);
  return 0;
}
