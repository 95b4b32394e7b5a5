#include "image/squashfs.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <map>
#include <memory>

#include "image/command.h"
#include "image/layer.h"
#include "image/utf8_locale.h"

namespace nimbus::image {
namespace {

// The first path of a file is written with its contents, the others as hard links to it.
struct Placement {
  std::string path;
  std::shared_ptr<const Entry> entry;
};

using PlacementsByPosition = std::map<std::pair<int, int64_t>, Placement>;

// One pax record: "LENGTH KEY=VALUE\n", the length counting itself.
std::string pax_record(std::string_view key, std::string_view value) {
  const size_t rest = 1 + key.size() + 1 + value.size() + 1;
  size_t length = rest + 1;
  while (std::to_string(length).size() + rest != length)
    length = std::to_string(length).size() + rest;
  return fmt::format("{} {}={}\n", length, key, value);
}

// A pax header that gives the next entry its extended attributes, padded to tar's blocks.
std::string xattr_header(const std::map<std::string, std::string>& xattrs) {
  std::string records;
  for (const auto& [name, value] : xattrs) records += pax_record("SCHILY.xattr." + name, value);
  std::string block(512, '\0');
  auto put = [&](size_t offset, std::string_view text) {
    block.replace(offset, text.size(), text);
  };
  put(0, "xattrs");
  put(100, "0000644");
  put(124, fmt::format("{:011o}", records.size()));
  put(136, "00000000000");
  put(148, "        ");  // the checksum counts itself as blanks
  put(156, "x");
  put(257, std::string_view("ustar\00000", 8));
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  put(148, fmt::format("{:06o}", sum));
  block[154] = '\0';
  records.resize((records.size() + 511) / 512 * 512, '\0');
  return block + records;
}

// A tar stream into a program's standard input. GNU's format, because sqfstar drops the leading
// slash of long links in pax's; extended attributes, which GNU's lacks, go into pax headers of our
// own.
class TarStream {
 public:
  explicit TarStream(Feed& feed) : feed_(feed) {
    archive_write_set_format_gnutar(writer_.get());
    archive_write_set_bytes_per_block(writer_.get(),
                                      0);  // unbuffered: our headers keep their place
    archive_write_open(writer_.get(), this, nullptr, write_callback, nullptr);
  }

  Result<void> add(const std::string& path, const Entry& from, const std::string& link_to = "") {
    std::unique_ptr<archive_entry, decltype(&archive_entry_free)> entry(archive_entry_new(),
                                                                        archive_entry_free);
    archive_entry_set_pathname(entry.get(), path.c_str());
    archive_entry_set_filetype(entry.get(), file_type(from.type));
    archive_entry_set_perm(entry.get(), static_cast<mode_t>(from.mode));
    archive_entry_set_uid(entry.get(), from.uid);
    archive_entry_set_gid(entry.get(), from.gid);
    archive_entry_set_mtime(entry.get(), from.mtime, 0);
    archive_entry_set_size(entry.get(), link_to.empty() ? from.size : 0);
    if (!link_to.empty()) archive_entry_set_hardlink(entry.get(), link_to.c_str());
    if (from.type == EntryType::symlink) archive_entry_set_symlink(entry.get(), from.link.c_str());
    if (!from.xattrs.empty() && link_to.empty()) {
      TRY(check(archive_write_finish_entry(writer_.get())));  // pads the entry before
      TRY(feed_.write(xattr_header(from.xattrs)));
    }
    return check(archive_write_header(writer_.get(), entry.get()));
  }

  Result<void> add_contents(std::string_view bytes) {
    while (!bytes.empty()) {
      const la_ssize_t count = archive_write_data(writer_.get(), bytes.data(), bytes.size());
      if (count <= 0) return check(ARCHIVE_FATAL);
      bytes.remove_prefix(static_cast<size_t>(count));
    }
    return {};
  }

  Result<void> finish() { return check(archive_write_close(writer_.get())); }

 private:
  static unsigned file_type(EntryType type) {
    switch (type) {
      case EntryType::directory: return AE_IFDIR;
      case EntryType::symlink: return AE_IFLNK;
      case EntryType::fifo: return AE_IFIFO;
      default: return AE_IFREG;
    }
  }

  static la_ssize_t write_callback(archive*, void* data, const void* bytes, size_t size) {
    auto& stream = *static_cast<TarStream*>(data);
    stream.written_ = stream.feed_.write({static_cast<const char*>(bytes), size});
    return stream.written_ ? static_cast<la_ssize_t>(size) : -1;
  }

  Result<void> check(int status) {
    if (!written_) return written_;
    if (status == ARCHIVE_OK || status == ARCHIVE_WARN) return {};
    const char* why = archive_error_string(writer_.get());
    return fail(Code::internal, fmt::format("writing the merged layers: {}", why ? why : "?"));
  }

  const Utf8Locale utf8_;
  Feed& feed_;
  Result<void> written_;
  std::unique_ptr<archive, decltype(&archive_write_free)> writer_{archive_write_new(),
                                                                  archive_write_free};
};

bool has_contents(const Entry& entry) { return entry.type == EntryType::file && entry.size > 0; }

// Everything that has no contents to wait for, directories before what is in them.
Result<PlacementsByPosition> add_bare_entries(
    const Tree& tree, TarStream& stream, std::vector<std::pair<std::string, Placement>>& links) {
  PlacementsByPosition placements;
  std::map<const Entry*, std::string> first_paths;
  Result<void> added;
  tree.walk([&](const std::string& path, const Node& node) {
    if (!added) return;
    const Entry& entry = *node.entry;
    if (entry.type == EntryType::directory) {
      added = stream.add(path, entry);
      return;
    }
    const auto [first, is_first] = first_paths.emplace(&entry, path);
    if (!is_first) {
      links.emplace_back(path, Placement{first->second, node.entry});
    } else if (has_contents(entry)) {
      placements.emplace(std::pair(entry.layer, entry.position), Placement{path, node.entry});
    } else {
      added = stream.add(path, entry);
    }
  });
  if (!added) return fail(added.error());
  return placements;
}

Result<void> add_contents(const LayerFile& file, int layer, const PlacementsByPosition& placements,
                          TarStream& stream) {
  LayerReader reader = TRY(LayerReader::open(file.path, file.layer));
  while (auto next = TRY(reader.next())) {
    const auto found = placements.find({layer, next->entry.position});
    if (found == placements.end()) continue;
    TRY(stream.add(found->second.path, *found->second.entry));
    int64_t size = 0;
    for (;;) {
      const std::string_view piece = TRY(reader.read());
      if (piece.empty()) break;
      size += static_cast<int64_t>(piece.size());
      TRY(stream.add_contents(piece));
    }
    if (size != found->second.entry->size)
      return fail(Code::corrupt, fmt::format("a file in layer {} is cut short", file.layer.digest));
  }
  return {};
}

Result<void> stream_tree(const Tree& tree, const std::vector<LayerFile>& layers, Feed& feed) {
  TarStream stream(feed);
  std::vector<std::pair<std::string, Placement>> links;
  const PlacementsByPosition placements = TRY(add_bare_entries(tree, stream, links));
  for (size_t i = 0; i < layers.size(); ++i)
    TRY(add_contents(layers[i], static_cast<int>(i), placements, stream));
  for (const auto& [path, target] : links) TRY(stream.add(path, *target.entry, target.path));
  return stream.finish();
}

}  // namespace

Result<Tree> merge_layers(const std::vector<LayerFile>& layers) {
  Tree tree;
  for (size_t i = 0; i < layers.size(); ++i) {
    LayerReader reader = TRY(LayerReader::open(layers[i].path, layers[i].layer));
    while (auto next = TRY(reader.next())) {
      next->entry.layer = static_cast<int>(i);
      TRY_IN("layer " + layers[i].layer.digest, tree.apply(next->path, std::move(next->entry)));
    }
  }
  return tree;
}

Result<void> write_squashfs(const std::vector<LayerFile>& layers, const std::string& output) {
  const Tree tree = TRY(merge_layers(layers));
  const Entry& root = *tree.root().entry;
  Command command;
  command.argv = {"sqfstar",        "-comp", "lz4",  "-no-progress", "-quiet",
                  "-exit-on-error", "-mem",  "512M", "-mkfs-time",   "0"};
  // The root directory is not an entry of the stream.
  command.argv.insert(command.argv.end(),
                      {"-root-mode", fmt::format("{:o}", root.mode), "-root-uid",
                       std::to_string(root.uid), "-root-gid", std::to_string(root.gid), output});
  command.inherit_env = false;  // SOURCE_DATE_EPOCH would overwrite every file's time
  return run_fed(command, [&](Feed& feed) { return stream_tree(tree, layers, feed); });
}

}  // namespace nimbus::image
