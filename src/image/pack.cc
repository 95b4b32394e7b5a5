#include "image/pack.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>
#include <filesystem>
#include <memory>

#include "base/encoding.h"
#include "base/hash.h"
#include "base/time.h"
#include "image/files.h"
#include "image/utf8_locale.h"

namespace nimbus::image {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr int kZstdLevel = 6;
constexpr int kZstdWorkers = 2;  // part of the format's bytes: more workers make other frames
constexpr size_t kCopyBytes = 256 << 10;
constexpr std::string_view kCapability = "security.capability";

using EntryPointer = std::unique_ptr<archive_entry, decltype(&archive_entry_free)>;

// Compresses what it is given into a new file, and knows both digests at the end.
class ZstdFile {
 public:
  static Result<std::unique_ptr<ZstdFile>> create(const std::string& path) {
    auto file = std::make_unique<ZstdFile>();
    file->fd_ = TRY(create_new(path, 0644));
    file->path_ = path;
    ZSTD_CCtx_setParameter(file->context_.get(), ZSTD_c_compressionLevel, kZstdLevel);
    ZSTD_CCtx_setParameter(file->context_.get(), ZSTD_c_nbWorkers, kZstdWorkers);
    ZSTD_CCtx_setParameter(file->context_.get(), ZSTD_c_checksumFlag, 1);
    return file;
  }

  Result<void> write(std::string_view bytes) {
    plain_.update(bytes);
    ZSTD_inBuffer input{bytes.data(), bytes.size(), 0};
    while (input.pos < input.size) TRY(step(&input, ZSTD_e_continue));
    return {};
  }

  Result<PackedLayer> finish() {
    ZSTD_inBuffer input{nullptr, 0, 0};
    while (TRY(step(&input, ZSTD_e_end)) > 0) {
    }
    TRY(sync_file(fd_.get(), path_));
    PackedLayer layer;
    layer.path = path_;
    layer.descriptor.media_type = kZstdLayerMediaType;
    layer.descriptor.digest = "sha256:" + to_hex(compressed_.finish());
    layer.descriptor.size = size_;
    layer.diff_id = "sha256:" + to_hex(plain_.finish());
    return layer;
  }

 private:
  Result<size_t> step(ZSTD_inBuffer* input, ZSTD_EndDirective directive) {
    ZSTD_outBuffer output{buffer_.data(), buffer_.size(), 0};
    const size_t left = ZSTD_compressStream2(context_.get(), &output, input, directive);
    if (ZSTD_isError(left))
      return fail(Code::internal, fmt::format("compressing: {}", ZSTD_getErrorName(left)));
    const std::string_view made(buffer_.data(), output.pos);
    compressed_.update(made);
    size_ += static_cast<int64_t>(made.size());
    TRY(write_all(fd_.get(), made));
    return left;
  }

  os::UniqueFd fd_;
  std::string path_;
  std::string buffer_ = std::string(ZSTD_CStreamOutSize(), '\0');
  std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context_{ZSTD_createCCtx(), ZSTD_freeCCtx};
  Sha256 plain_, compressed_;
  int64_t size_ = 0;
};

// A tar stream whose bytes go to `sink`.
class TarWriter {
 public:
  using Sink = std::function<Result<void>(std::string_view)>;
  explicit TarWriter(Sink sink) : sink_(std::move(sink)) {
    archive_write_set_format_pax_restricted(writer_.get());
    archive_write_set_bytes_per_block(writer_.get(), static_cast<int>(kCopyBytes));
    archive_write_set_bytes_in_last_block(writer_.get(), 1);
    archive_write_open(writer_.get(), this, nullptr, callback, nullptr);
  }

  Result<void> header(archive_entry* entry) {
    return check(archive_write_header(writer_.get(), entry));
  }

  Result<void> contents(std::string_view bytes) {
    while (!bytes.empty()) {
      const la_ssize_t count = archive_write_data(writer_.get(), bytes.data(), bytes.size());
      if (count <= 0) return check(ARCHIVE_FATAL);
      bytes.remove_prefix(static_cast<size_t>(count));
    }
    return {};
  }

  Result<void> file(const std::string& path) {
    const os::UniqueFd fd = TRY(open_to_read(path));
    std::string buffer(kCopyBytes, '\0');
    for (;;) {
      const ssize_t count = ::read(fd.get(), buffer.data(), buffer.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return fail(errno_error("reading " + path, errno));
      if (count == 0) return {};
      TRY(contents(std::string_view(buffer.data(), static_cast<size_t>(count))));
    }
  }

  Result<void> finish() { return check(archive_write_close(writer_.get())); }

 private:
  static la_ssize_t callback(archive*, void* data, const void* bytes, size_t size) {
    auto& tar = *static_cast<TarWriter*>(data);
    tar.written_ = tar.sink_({static_cast<const char*>(bytes), size});
    return tar.written_ ? static_cast<la_ssize_t>(size) : -1;
  }

  Result<void> check(int status) {
    if (!written_) return written_;
    if (status == ARCHIVE_OK || status == ARCHIVE_WARN) return {};
    const char* why = archive_error_string(writer_.get());
    return fail(Code::internal, fmt::format("writing a tar archive: {}", why ? why : "?"));
  }

  const Utf8Locale utf8_;
  Sink sink_;
  Result<void> written_;
  std::unique_ptr<archive, decltype(&archive_write_free)> writer_{archive_write_new(),
                                                                  archive_write_free};
};

class FolderPacker {
 public:
  FolderPacker(std::string folder, TarWriter& tar, const PackOptions& options)
      : folder_(std::move(folder)), tar_(tar), options_(options) {}

  Result<void> pack(const std::string& inside) {
    std::error_code error;
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_ + inside, error))
      names.push_back(entry.path().filename().string());
    if (error) return fail(errno_error("reading folder " + folder_ + inside, error.value()));
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) {
      const std::string path = fmt::format("{}/{}", inside, name);
      struct stat status;
      if (::lstat((folder_ + path).c_str(), &status) != 0)
        return fail(errno_error("reading " + folder_ + path, errno));
      TRY(add(path, status));
      if (S_ISDIR(status.st_mode)) TRY(pack(path));
    }
    return {};
  }

 private:
  Result<void> add(const std::string& path, const struct stat& status) {
    if (S_ISBLK(status.st_mode) || S_ISCHR(status.st_mode) || S_ISSOCK(status.st_mode)) return {};
    const EntryPointer entry(archive_entry_new(), archive_entry_free);
    archive_entry_set_pathname(entry.get(), path.c_str() + 1);
    archive_entry_set_mode(entry.get(), status.st_mode);
    archive_entry_set_mtime(entry.get(), options_.time, 0);
    archive_entry_set_uid(entry.get(), options_.keep_owners ? status.st_uid : owner_of(path));
    archive_entry_set_gid(entry.get(), options_.keep_owners ? status.st_gid : owner_of(path));
    if (S_ISLNK(status.st_mode)) {
      std::error_code error;
      const std::string text = fs::read_symlink(folder_ + path, error).string();
      if (error) return fail(errno_error("reading link " + path, error.value()));
      archive_entry_set_symlink(entry.get(), text.c_str());
      return tar_.header(entry.get());
    }
    if (!S_ISREG(status.st_mode)) return tar_.header(entry.get());
    if (status.st_nlink > 1) {
      const auto [first, is_first] =
          first_paths_.emplace(std::pair(status.st_dev, status.st_ino), path.substr(1));
      if (!is_first) {
        archive_entry_set_hardlink(entry.get(), first->second.c_str());
        return tar_.header(entry.get());
      }
    }
    add_capability(path, entry.get());
    archive_entry_set_size(entry.get(), status.st_size);
    TRY(tar_.header(entry.get()));
    return tar_.file(folder_ + path);
  }

  void add_capability(const std::string& path, archive_entry* entry) {
    char value[64];
    const ssize_t size = ::lgetxattr((folder_ + path).c_str(), std::string(kCapability).c_str(),
                                     value, sizeof value);
    if (size > 0) {
      archive_entry_xattr_add_entry(entry, std::string(kCapability).c_str(), value,
                                    static_cast<size_t>(size));
    }
  }

  uint32_t owner_of(const std::string& path) const {
    for (const auto& [prefix, owner] : options_.owners)
      if (path == prefix || path.starts_with(prefix + "/")) return owner;
    return 0;
  }

  std::string folder_;
  TarWriter& tar_;
  const PackOptions& options_;
  std::map<std::pair<dev_t, ino_t>, std::string> first_paths_;
};

std::string rfc3339_seconds(int64_t time) { return to_rfc3339(from_us(time * 1'000'000)); }

json::array to_array(const std::vector<std::string>& texts) {
  json::array array;
  for (const std::string& text : texts) array.emplace_back(text);
  return array;
}

std::string config_document(const ArchiveContents& contents) {
  json::object run;
  if (!contents.config.env.empty()) run["Env"] = to_array(contents.config.env);
  if (!contents.config.user.empty()) run["User"] = contents.config.user;
  if (!contents.config.working_dir.empty()) run["WorkingDir"] = contents.config.working_dir;
  if (!contents.config.entrypoint.empty()) run["Entrypoint"] = to_array(contents.config.entrypoint);
  if (!contents.config.command.empty()) run["Cmd"] = to_array(contents.config.command);
  json::array diff_ids;
  for (const PackedLayer& layer : contents.layers) diff_ids.emplace_back(layer.diff_id);
  return json::serialize(json::object{
      {"created", rfc3339_seconds(contents.time)},
      {"architecture", std::string(machine_architecture())},
      {"os", "linux"},
      {"config", std::move(run)},
      {"rootfs", json::object{{"type", "layers"}, {"diff_ids", std::move(diff_ids)}}}});
}

Result<void> add_file(TarWriter& tar, const std::string& name, int64_t size, int64_t time) {
  const EntryPointer entry(archive_entry_new(), archive_entry_free);
  archive_entry_set_pathname(entry.get(), name.c_str());
  archive_entry_set_mode(entry.get(), S_IFREG | 0644);
  archive_entry_set_mtime(entry.get(), time, 0);
  archive_entry_set_size(entry.get(), size);
  return tar.header(entry.get());
}

Result<void> add_bytes(TarWriter& tar, const std::string& name, std::string_view bytes,
                       int64_t time) {
  TRY(add_file(tar, name, static_cast<int64_t>(bytes.size()), time));
  return tar.contents(bytes);
}

std::string blob_name(std::string_view digest) {
  return "blobs/sha256/" + std::string(digest_hex(digest));
}

}  // namespace

Result<PackedLayer> pack_layer(const std::string& folder, const std::string& output,
                               const PackOptions& options) {
  const auto file = TRY(ZstdFile::create(output));
  {
    TarWriter tar([&](std::string_view bytes) { return file->write(bytes); });
    TRY(FolderPacker(folder, tar, options).pack(""));
    TRY(tar.finish());
  }
  return file->finish();
}

ArchiveDocuments make_documents(const ArchiveContents& contents) {
  ArchiveDocuments documents;
  documents.config = config_document(contents);
  Manifest manifest;
  manifest.config.media_type = kConfigMediaType;
  manifest.config.digest = digest_of(documents.config);
  manifest.config.size = static_cast<int64_t>(documents.config.size());
  for (const PackedLayer& layer : contents.layers) manifest.layers.push_back(layer.descriptor);
  documents.manifest = to_json(manifest);
  documents.manifest_digest = digest_of(documents.manifest);
  Descriptor entry;
  entry.media_type = kManifestMediaType;
  entry.digest = documents.manifest_digest;
  entry.size = static_cast<int64_t>(documents.manifest.size());
  entry.os = "linux";
  entry.architecture = machine_architecture();
  entry.annotations[std::string(kRefNameAnnotation)] = contents.name;
  documents.index = to_json(std::vector<Descriptor>{entry});
  return documents;
}

Result<void> write_archive(const ArchiveContents& contents, const std::string& path) {
  const ArchiveDocuments documents = make_documents(contents);
  const std::string temporary = path + ".new";
  ::unlink(temporary.c_str());
  {
    const os::UniqueFd file = TRY(create_new(temporary, 0644));
    TarWriter tar([&](std::string_view bytes) { return write_all(file.get(), bytes); });
    TRY(add_bytes(tar, "oci-layout", R"({"imageLayoutVersion":"1.0.0"})", contents.time));
    TRY(add_bytes(tar, "index.json", documents.index, contents.time));
    TRY(add_bytes(tar, blob_name(documents.manifest_digest), documents.manifest, contents.time));
    TRY(add_bytes(tar, blob_name(digest_of(documents.config)), documents.config, contents.time));
    for (const PackedLayer& layer : contents.layers) {
      TRY(add_file(tar, blob_name(layer.descriptor.digest), layer.descriptor.size, contents.time));
      TRY(tar.file(layer.path));
    }
    TRY(tar.finish());
    TRY(sync_file(file.get(), temporary));
  }
  return rename_file(temporary, path);
}

}  // namespace nimbus::image
