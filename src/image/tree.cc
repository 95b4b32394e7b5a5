#include "image/tree.h"

#include <fmt/format.h>

#include "base/encoding.h"
#include "base/text.h"

namespace nimbus::image {
namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr std::string_view kReserved = ".wh..wh.";
constexpr size_t kNameBytesMax = 255;
constexpr size_t kDepthMax = 128;
constexpr int kSymlinksMax = 40;  // as the kernel

bool is_directory(const Node& node) { return node.entry->type == EntryType::directory; }

Node* child_of(const Node& node, std::string_view name) {
  const auto found = node.children.find(name);
  return found == node.children.end() ? nullptr : found->second.get();
}

std::unique_ptr<Node> make_node(Entry entry, int layer) {
  auto node = std::make_unique<Node>();
  node->entry = std::make_shared<const Entry>(std::move(entry));
  node->layer = layer;
  return node;
}

Entry plain_directory() {
  Entry entry;
  entry.type = EntryType::directory;
  entry.mode = 0755;
  return entry;
}

// Removes what lower layers put below `node`; directories stay that hold something of this layer.
void hide_lower(Node& node, int layer) {
  for (auto child = node.children.begin(); child != node.children.end();) {
    hide_lower(*child->second, layer);
    const bool hidden = child->second->layer < layer && child->second->children.empty();
    child = hidden ? node.children.erase(child) : std::next(child);
  }
}

// Trees are walked by recursion, so their depth is bounded, however a path got there.
tl::unexpected<Error> too_deep() {
  return fail(Code::bad_request, "a path in a layer is deeper than 128 directories");
}

// A path of a layer as its parts. Inside an image `/a`, `./a` and `a` are the same.
Result<std::vector<std::string_view>> parse_path(std::string_view path) {
  if (path.size() > kTreePathBytesMax)
    return fail(Code::bad_request, "a path in a layer is longer than 4096 bytes");
  if (path.find('\0') != std::string_view::npos)
    return fail(Code::bad_request, "a path in a layer has a zero byte");
  std::vector<std::string_view> parts;
  for (std::string_view part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      return fail(Code::bad_request, fmt::format("path `{}` in a layer points outside the image",
                                                 to_utf8_lossy(path)));
    }
    if (part.size() > kNameBytesMax)
      return fail(Code::bad_request, "a file name in a layer is longer than 255 bytes");
    parts.push_back(part);
  }
  for (size_t i = 0; i + 1 < parts.size(); ++i) {
    if (parts[i].starts_with(kWhiteout))
      return fail(Code::bad_request, "a folder in a layer has a name that whiteouts are known by");
  }
  if (parts.size() > kDepthMax) return too_deep();
  return parts;
}

// Walks parts from `root` as the kernel would with the image as its root, every symbolic link
// followed. The stack holds the nodes on the way, so that `..` in a link's text can step back.
class Walker {
 public:
  explicit Walker(Node& root) { stack_.push_back(&root); }

  // The node reached, or nullptr when a part is missing and `make_missing` makes none.
  template <typename Missing>
  Result<Node*> walk(const std::vector<std::string_view>& parts, Missing&& make_missing) {
    for (std::string_view part : parts) {
      if (part.empty() || part == ".") continue;
      if (part == "..") {
        if (stack_.size() > 1) stack_.pop_back();
        continue;
      }
      if (!is_directory(*stack_.back())) return nullptr;
      Node* next = child_of(*stack_.back(), part);
      if (next == nullptr) next = make_missing(*stack_.back(), part);
      if (next == nullptr) return nullptr;
      if (next->entry->type != EntryType::symlink) {
        stack_.push_back(next);
        if (stack_.size() > kDepthMax + 1) return too_deep();
        continue;
      }
      if (++links_ > kSymlinksMax)
        return fail(Code::bad_request, "symbolic links of a layer lead in a circle");
      const std::string& text = next->entry->link;
      if (text.starts_with('/')) stack_.resize(1);
      Node* reached = TRY(walk(split(text, '/'), make_missing));
      if (reached == nullptr) return nullptr;
    }
    return stack_.back();
  }

 private:
  std::vector<Node*> stack_;
  int links_ = 0;
};

}  // namespace

Tree::Tree() : root_(make_node(plain_directory(), -1)) {}

Result<void> Tree::apply(std::string_view path, Entry entry) {
  if (++entries_ > kTreeEntriesMax) {
    return fail(Code::too_large,
                fmt::format("the image has more than {} entries", kTreeEntriesMax));
  }
  std::vector<std::string_view> parts = TRY(parse_path(path));
  if (parts.empty()) {
    if (entry.type == EntryType::directory) {
      root_->layer = entry.layer;
      root_->entry = std::make_shared<const Entry>(std::move(entry));
    }
    return {};
  }
  const std::string_view name = parts.back();
  parts.pop_back();
  if (name.starts_with(kWhiteout)) {
    const int layer = entry.layer;
    Node* parent = TRY(make_directory(parts, layer));
    return apply_whiteout(name, *parent, layer);
  }
  if (entry.type == EntryType::other) return {};
  Node* parent = TRY(make_directory(parts, entry.layer));
  return place(*parent, name, std::move(entry));
}

Result<void> Tree::apply_whiteout(std::string_view name, Node& parent, int layer) {
  if (name == kOpaque) {
    hide_lower(parent, layer);
    return {};
  }
  if (name.starts_with(kReserved)) return {};  // bookkeeping of other tools
  const std::string_view hidden = name.substr(kWhiteout.size());
  if (hidden.empty() || hidden == "." || hidden == "..")
    return fail(Code::bad_request, "a whiteout in a layer names no file");
  Node* node = child_of(parent, hidden);
  if (node == nullptr) return {};
  hide_lower(*node, layer);
  if (node->layer < layer && node->children.empty())
    parent.children.erase(parent.children.find(hidden));
  return {};
}

Result<void> Tree::place(Node& parent, std::string_view name, Entry entry) {
  const int layer = entry.layer;
  std::shared_ptr<const Entry> placed;
  if (entry.type == EntryType::hardlink) {
    std::vector<std::string_view> parts = TRY(parse_path(entry.link));
    const Node* target = find(join(std::vector<std::string>(parts.begin(), parts.end()), "/"));
    if (target == nullptr || is_directory(*target)) {
      return fail(Code::bad_request,
                  fmt::format("hard link `{}` in a layer leads to no file", to_utf8_lossy(name)));
    }
    placed = target->entry;
  } else {
    bytes_ += entry.type == EntryType::file ? entry.size : 0;
    if (entry.size < 0 || bytes_ > kTreeBytesMax) {
      return fail(Code::too_large,
                  fmt::format("the image is larger than {} GiB", kTreeBytesMax >> 30));
    }
    placed = std::make_shared<const Entry>(std::move(entry));
  }
  Node* node = child_of(parent, name);
  if (node == nullptr)
    node = parent.children.emplace(name, std::make_unique<Node>()).first->second.get();
  if (placed->type != EntryType::directory) node->children.clear();
  node->entry = std::move(placed);
  node->layer = layer;
  return {};
}

Result<Node*> Tree::make_directory(const std::vector<std::string_view>& parts, int layer) {
  auto make_missing = [this, layer](Node& parent, std::string_view name) -> Node* {
    // A link's text may ask for what a path may not.
    const bool allowed = name.size() <= kNameBytesMax && !name.starts_with(kWhiteout);
    if (!allowed || ++entries_ > kTreeEntriesMax) return nullptr;
    return parent.children.emplace(name, make_node(plain_directory(), layer)).first->second.get();
  };
  Node* node = TRY(Walker(*root_).walk(parts, make_missing));
  if (node != nullptr && is_directory(*node)) return node;
  return fail(Code::bad_request, "a path in a layer leads through a file that is no directory");
}

const Node* Tree::find(std::string_view path) const {
  std::vector<std::string_view> parts = split(path, '/');
  if (parts.empty()) return nullptr;
  const std::string_view name = parts.back();
  parts.pop_back();
  auto parent =
      Walker(*root_).walk(parts, [](Node&, std::string_view) -> Node* { return nullptr; });
  if (!parent || *parent == nullptr) return nullptr;
  return child_of(**parent, name);
}

void Tree::walk(const std::function<void(const std::string&, const Node&)>& visit) const {
  std::function<void(const std::string&, const Node&)> descend = [&](const std::string& prefix,
                                                                     const Node& directory) {
    for (const auto& [name, child] : directory.children) {
      const std::string path = prefix + name;
      visit(path, *child);
      descend(path + "/", *child);
    }
  };
  descend("", *root_);
}

}  // namespace nimbus::image
