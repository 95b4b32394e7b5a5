// The file tree that an image's layers make together, in memory. Layers are applied lowest first,
// as the OCI layer specification says: later entries replace earlier ones, `.wh.NAME` hides what
// lower layers put at NAME, `.wh..wh..opq` hides everything lower layers put in a directory.
//
// Because nothing is written to the disk here, a hostile layer can escape nowhere: `..` is refused,
// a leading `/` means the image's own root, and symbolic links among a path's parents are followed
// inside the tree only. File contents stay in the layers; a node says which entry of which layer
// has them. Device nodes and sockets are left out: the guest has its own /dev.
//
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace nimbus::image {

constexpr size_t kTreeEntriesMax = 1'000'000;
constexpr size_t kTreePathBytesMax = 4096;
constexpr int64_t kTreeBytesMax = 64LL << 30;  // of file contents, unpacked

enum class EntryType { directory, file, symlink, hardlink, fifo, other };

// One entry of a layer, or the metadata of a file that several paths may share.
struct Entry {
  EntryType type = EntryType::file;
  uint32_t mode = 0644;  // permission bits, with setuid, setgid and sticky
  uint32_t uid = 0;
  uint32_t gid = 0;
  int64_t mtime = 0;  // seconds since the epoch
  int64_t size = 0;   // files only
  std::string link;   // a symlink's text, or a hardlink's path
  std::map<std::string, std::string> xattrs;
  int layer = -1;  // where the contents are: layer and position in it
  int64_t position = -1;
};

struct Node {
  std::shared_ptr<const Entry> entry;
  int layer = -1;  // the layer that last named this path
  std::map<std::string, std::unique_ptr<Node>, std::less<>> children;  // directories only
};

class Tree {
 public:
  Tree();

  // Applies one entry of layer number `entry.layer`; calls must come in layer order. bad_request
  // when the path or link cannot be, too_large over a limit.
  Result<void> apply(std::string_view path, Entry entry);

  const Node& root() const { return *root_; }
  // The node at a path, symbolic links among its parents followed; nullptr when there is none.
  const Node* find(std::string_view path) const;

  // Calls `visit(path, node)` for every node but the root: parents first, siblings by name.
  void walk(const std::function<void(const std::string& path, const Node& node)>& visit) const;

 private:
  Result<Node*> make_directory(const std::vector<std::string_view>& parts, int layer);
  Result<void> apply_whiteout(std::string_view name, Node& parent, int layer);
  Result<void> place(Node& parent, std::string_view name, Entry entry);

  std::unique_ptr<Node> root_;
  size_t entries_ = 0;
  int64_t bytes_ = 0;
};

}  // namespace nimbus::image
