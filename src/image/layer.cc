#include "image/layer.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "base/encoding.h"
#include "base/hash.h"
#include "image/files.h"
#include "image/utf8_locale.h"

namespace nimbus::image {
namespace {

constexpr size_t kReadBytes = 256 << 10;
constexpr size_t kXattrBytesMax = 64 << 10;

EntryType type_of(archive_entry* entry) {
  if (archive_entry_hardlink(entry) != nullptr) return EntryType::hardlink;
  switch (archive_entry_filetype(entry)) {
    case AE_IFREG: return EntryType::file;
    case AE_IFDIR: return EntryType::directory;
    case AE_IFLNK: return EntryType::symlink;
    case AE_IFIFO: return EntryType::fifo;
    default: return EntryType::other;
  }
}

// File capabilities and users' own attributes matter inside the guest; the others belong to the
// machine the image was built on.
bool keep_xattr(std::string_view name) {
  return name == "security.capability" || name.starts_with("user.");
}

void read_xattrs(archive_entry* from, Entry& entry) {
  archive_entry_xattr_reset(from);
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  while (archive_entry_xattr_next(from, &name, &value, &size) == ARCHIVE_OK) {
    if (name != nullptr && keep_xattr(name) && size <= kXattrBytesMax)
      entry.xattrs.emplace(name, std::string(static_cast<const char*>(value), size));
  }
}

Result<std::string> text_of(const char* text, std::string_view what) {
  if (text == nullptr)
    return fail(Code::corrupt, fmt::format("an entry of a layer has an unreadable {}", what));
  return std::string(text);
}

}  // namespace

struct LayerReader::State {
  os::UniqueFd file;
  std::string path;
  Descriptor layer;
  Sha256 hash;
  int64_t bytes_read = 0;
  std::string buffer = std::string(kReadBytes, '\0');
  std::string contents = std::string(kReadBytes, '\0');
  archive* reader = nullptr;
  int64_t position = -1;
  int64_t unpacked = 0;

  ~State() { archive_read_free(reader); }

  ssize_t read_blob() {
    for (;;) {
      const ssize_t count = ::read(file.get(), buffer.data(), buffer.size());
      if (count < 0 && errno == EINTR) continue;
      if (count > 0) {
        hash.update(std::string_view(buffer.data(), static_cast<size_t>(count)));
        bytes_read += count;
      }
      return count;
    }
  }

  static ssize_t read_callback(archive* reader, void* data, const void** bytes) {
    State& state = *static_cast<State*>(data);
    *bytes = state.buffer.data();
    const ssize_t count = state.read_blob();
    if (count < 0) archive_set_error(reader, errno, "reading the layer");
    return count;
  }

  tl::unexpected<Error> damaged() const {
    const char* why = archive_error_string(reader);
    return fail(Code::corrupt, fmt::format("layer {} cannot be unpacked: {}", layer.digest,
                                           why == nullptr ? "unknown error" : why));
  }

  // What follows the archive's end counts for the digest as well.
  Result<void> finish() {
    ssize_t count;
    while ((count = read_blob()) > 0) {
    }
    if (count < 0) return fail(errno_error("reading " + path, errno));
    if (bytes_read == layer.size && "sha256:" + to_hex(hash.finish()) == layer.digest) return {};
    return fail(Code::corrupt, fmt::format("layer {} is not what its digest says", layer.digest),
                "import the image again");
  }
};

LayerReader::LayerReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
LayerReader::~LayerReader() = default;
LayerReader::LayerReader(LayerReader&&) noexcept = default;

Result<LayerReader> LayerReader::open(const std::string& path, const Descriptor& layer) {
  auto state = std::make_unique<State>();
  const Compression compression = TRY(layer_compression(layer));
  state->file = TRY(open_to_read(path));
  state->path = path;
  state->layer = layer;
  state->reader = archive_read_new();
  if (state->reader == nullptr) return fail(Code::internal, "libarchive has no memory");
  if (compression == Compression::gzip) archive_read_support_filter_gzip(state->reader);
  if (compression == Compression::zstd) archive_read_support_filter_zstd(state->reader);
  archive_read_support_format_tar(state->reader);
  archive_read_support_format_empty(state->reader);
  if (archive_read_open(state->reader, state.get(), nullptr, State::read_callback, nullptr) !=
      ARCHIVE_OK)
    return state->damaged();
  return LayerReader(std::move(state));
}

Result<std::optional<LayerReader::Next>> LayerReader::next() {
  const Utf8Locale utf8;
  State& state = *state_;
  archive_entry* from = nullptr;
  const int status = archive_read_next_header(state.reader, &from);
  if (status == ARCHIVE_EOF) {
    TRY(state.finish());
    return std::nullopt;
  }
  // A warning is about text that is not UTF-8; its odd bytes are replaced.
  if (status != ARCHIVE_OK && status != ARCHIVE_WARN) return state.damaged();
  Next next;
  next.path = TRY(text_of(archive_entry_pathname(from), "path"));
  Entry& entry = next.entry;
  entry.position = ++state.position;
  entry.type = type_of(from);
  entry.mode = archive_entry_perm(from) & 07777;
  entry.uid = static_cast<uint32_t>(archive_entry_uid(from));
  entry.gid = static_cast<uint32_t>(archive_entry_gid(from));
  entry.mtime = archive_entry_mtime(from);
  entry.size = entry.type == EntryType::file ? archive_entry_size(from) : 0;
  if (entry.type == EntryType::symlink)
    entry.link = TRY(text_of(archive_entry_symlink(from), "link"));
  if (entry.type == EntryType::hardlink)
    entry.link = TRY(text_of(archive_entry_hardlink(from), "link"));
  read_xattrs(from, entry);
  return next;
}

Result<std::string_view> LayerReader::read() {
  State& state = *state_;
  const la_ssize_t count =
      archive_read_data(state.reader, state.contents.data(), state.contents.size());
  if (count < 0) return state.damaged();
  state.unpacked += count;
  if (state.unpacked > kTreeBytesMax) {
    return fail(Code::too_large, fmt::format("layer {} unpacks to more than {} GiB",
                                             state.layer.digest, kTreeBytesMax >> 30));
  }
  return std::string_view(state.contents.data(), static_cast<size_t>(count));
}

}  // namespace nimbus::image
