#include "image/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>

#include "base/encoding.h"
#include "base/hash.h"
#include "image/files.h"
#include "image/utf8_locale.h"
#include "os/atomic_file.h"

namespace nimbus::image {
namespace {

constexpr size_t kReadBytes = 256 << 10;
constexpr std::string_view kBlobs = "blobs/sha256/";
constexpr size_t kNestingMax = 4;  // indexes within indexes

bool is_directory(const std::string& path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

// A blob being written under its digest's name, hashed meanwhile.
class BlobWriter {
 public:
  static Result<BlobWriter> open(const std::string& directory, std::string_view hex) {
    BlobWriter writer;
    writer.path_ = fmt::format("{}/{}{}", directory, kBlobs, hex);
    writer.hex_ = hex;
    writer.file_ = TRY(create_new(writer.path_));
    return writer;
  }

  Result<void> write(std::string_view bytes) {
    hash_.update(bytes);
    return write_all(file_.get(), bytes);
  }

  Result<void> finish() {
    if (to_hex(hash_.finish()) != hex_) {
      return fail(Code::corrupt, fmt::format("blob sha256:{} is not what its digest says", hex_),
                  "the archive is damaged: build or copy it again");
    }
    return sync_file(file_.get(), path_);
  }

 private:
  std::string path_;
  std::string hex_;
  os::UniqueFd file_;
  Sha256 hash_;
};

class TarSource {
 public:
  explicit TarSource(const std::string& path) : path_(path) {
    archive_read_support_filter_none(reader_.get());
    archive_read_support_filter_gzip(reader_.get());
    archive_read_support_format_tar(reader_.get());
  }

  Result<void> open() {
    if (archive_read_open_filename(reader_.get(), path_.c_str(), kReadBytes) == ARCHIVE_OK)
      return {};
    return damaged();
  }

  // The next regular file's path within the layout, or "" after the last.
  Result<std::string> next() {
    const Utf8Locale utf8;
    for (;;) {
      archive_entry* entry = nullptr;
      const int status = archive_read_next_header(reader_.get(), &entry);
      if (status == ARCHIVE_EOF) return std::string();
      if (status != ARCHIVE_OK && status != ARCHIVE_WARN) return damaged();
      if (++entries_ > kArchiveEntriesMax) {
        return fail(Code::too_large,
                    fmt::format("{} has more than {} entries", path_, kArchiveEntriesMax));
      }
      const char* name = archive_entry_pathname(entry);
      if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) || !name)
        continue;
      std::string_view path = name;
      while (path.starts_with("./")) path.remove_prefix(2);
      if (!path.empty()) return std::string(path);
    }
  }

  Result<std::string_view> read() {
    const la_ssize_t count = archive_read_data(reader_.get(), buffer_.data(), buffer_.size());
    if (count < 0) return damaged();
    bytes_ += count;
    if (bytes_ > kArchiveBytesMax) {
      return fail(Code::too_large,
                  fmt::format("{} is larger than {} GiB", path_, kArchiveBytesMax >> 30));
    }
    return std::string_view(buffer_.data(), static_cast<size_t>(count));
  }

  Result<std::string> read_document() {
    std::string document;
    for (;;) {
      const std::string_view piece = TRY(read());
      if (piece.empty()) return document;
      document += piece;
      if (document.size() > kDocumentBytesMax)
        return fail(Code::too_large, fmt::format("index.json of {} is too large", path_));
    }
  }

 private:
  tl::unexpected<Error> damaged() {
    const int number = archive_errno(reader_.get());
    const char* why = archive_error_string(reader_.get());
    const Code code = number == ENOENT ? Code::not_found : Code::corrupt;
    return fail(code, fmt::format("{} cannot be read as an OCI archive: {}", path_,
                                  why == nullptr ? "unknown error" : why));
  }

  std::string path_;
  std::string buffer_ = std::string(kReadBytes, '\0');
  size_t entries_ = 0;
  int64_t bytes_ = 0;
  std::unique_ptr<archive, decltype(&archive_read_free)> reader_{archive_read_new(),
                                                                 archive_read_free};
};

tl::unexpected<Error> not_an_archive(const std::string& path) {
  return fail(Code::bad_request, fmt::format("{} is not an OCI image archive: no index.json", path),
              "save with `skopeo copy … oci-archive:FILE`, `buildah push … oci-archive:FILE` or "
              "`docker save` of Docker 25 or newer");
}

Result<void> copy_blob(TarSource& source, const std::string& directory, std::string_view hex) {
  BlobWriter writer = TRY(BlobWriter::open(directory, hex));
  for (;;) {
    const std::string_view piece = TRY(source.read());
    if (piece.empty()) return writer.finish();
    TRY(writer.write(piece));
  }
}

Result<void> copy_file(const std::string& from, const std::string& directory,
                       std::string_view hex) {
  const os::UniqueFd file = TRY(open_to_read(from));
  struct stat status;
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode))
    return fail(Code::bad_request, from + " is not a regular file");
  BlobWriter writer = TRY(BlobWriter::open(directory, hex));
  std::string buffer(kReadBytes, '\0');
  for (;;) {
    const ssize_t count = ::read(file.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(errno_error("reading " + from, errno));
    if (count == 0) return writer.finish();
    TRY(writer.write(std::string_view(buffer.data(), static_cast<size_t>(count))));
  }
}

// The hexadecimal part when `path` names a blob of a layout, else "".
std::string_view blob_hex(std::string_view path) {
  if (!path.starts_with(kBlobs)) return "";
  path.remove_prefix(kBlobs.size());
  return check_digest("sha256:" + std::string(path)) ? path : "";
}

Result<void> unpack_tar(const std::string& path, const std::string& directory,
                        const std::function<bool(std::string_view)>& have) {
  TarSource source(path);
  TRY(source.open());
  bool has_index = false;
  for (;;) {
    const std::string name = TRY(source.next());
    if (name.empty()) break;
    const std::string_view hex = blob_hex(name);
    if (name == "index.json" && !has_index) {
      const std::string document = TRY(source.read_document());
      TRY(os::write_file_atomically(directory + "/index.json", document));
      has_index = true;
    } else if (!hex.empty() && !exists(fmt::format("{}/{}", directory, name)) &&
               !have("sha256:" + std::string(hex))) {
      TRY(copy_blob(source, directory, hex));
    }
  }
  if (!has_index) return not_an_archive(path);
  return {};
}

Result<void> unpack_directory(const std::string& path, const std::string& directory,
                              const std::function<bool(std::string_view)>& have) {
  auto index = os::read_file(path + "/index.json", kDocumentBytesMax);
  if (!index && index.error().code == Code::not_found) return not_an_archive(path);
  TRY(os::write_file_atomically(directory + "/index.json", TRY(std::move(index))));
  for (const std::string& name : file_names(path + "/" + std::string(kBlobs))) {
    const std::string file = std::string(kBlobs) + name;
    const std::string_view hex = blob_hex(file);
    if (!hex.empty() && !have("sha256:" + std::string(hex)))
      TRY(copy_file(fmt::format("{}/{}", path, file), directory, hex));
  }
  return {};
}

Result<std::string> read_document(const Descriptor& descriptor, const LocateBlob& locate) {
  const std::string path = locate(descriptor.digest);
  if (path.empty()) {
    return fail(Code::corrupt, fmt::format("blob {} is missing", descriptor.digest),
                "the archive is incomplete: build or copy it again");
  }
  std::string document = TRY(os::read_file(path, kDocumentBytesMax));
  if (digest_of(document) != descriptor.digest ||
      static_cast<int64_t>(document.size()) != descriptor.size) {
    return fail(Code::corrupt,
                fmt::format("blob {} is not what its descriptor says", descriptor.digest));
  }
  return document;
}

bool fits_machine(std::string_view os, std::string_view architecture) {
  return (os.empty() || os == "linux") &&
         (architecture.empty() || architecture == machine_architecture());
}

// The manifest for this machine that `entry` means, or nullopt when it has none.
Result<std::optional<Descriptor>> choose_manifest(Descriptor entry, const LocateBlob& locate) {
  for (size_t depth = 0; depth < kNestingMax; ++depth) {
    if (is_manifest(entry)) return entry;
    if (!is_index(entry)) return std::nullopt;
    const std::string document = TRY(read_document(entry, locate));
    std::optional<Descriptor> chosen;
    for (Descriptor& candidate : TRY(parse_index(document))) {
      if (!chosen && (is_manifest(candidate) || is_index(candidate)) &&
          fits_machine(candidate.os, candidate.architecture))
        chosen = std::move(candidate);
    }
    if (!chosen) return std::nullopt;
    entry = std::move(*chosen);
  }
  return fail(Code::bad_request, "image indexes are nested too deeply");
}

Result<void> check_parts(const Manifest& manifest, const LocateBlob& locate) {
  const std::string document = TRY(read_document(manifest.config, locate));
  const ConfigDocument config = TRY(parse_config(document));
  if (!fits_machine(config.os, config.architecture)) {
    return fail(Code::bad_request,
                fmt::format("the image is for {} {}, and this machine is linux {}", config.os,
                            config.architecture, machine_architecture()));
  }
  for (const Descriptor& layer : manifest.layers) {
    const std::string path = locate(layer.digest);
    if (path.empty()) {
      return fail(Code::corrupt, fmt::format("layer {} is missing", layer.digest),
                  "the archive is incomplete: build or copy it again");
    }
    if (file_size(path) != layer.size) {
      return fail(Code::corrupt, fmt::format("layer {} has {} bytes, its manifest says {}",
                                             layer.digest, file_size(path), layer.size));
    }
  }
  return {};
}

std::string name_of(const Descriptor& entry) {
  const auto full = entry.annotations.find("io.containerd.image.name");
  const auto name = entry.annotations.find(std::string(kRefNameAnnotation));
  return full != entry.annotations.end()   ? full->second
         : name != entry.annotations.end() ? name->second
                                           : "";
}

}  // namespace

Result<std::vector<Descriptor>> read_archive_index(const std::string& path) {
  if (is_directory(path))
    return parse_index(TRY(os::read_file(path + "/index.json", kDocumentBytesMax)));
  TarSource source(path);
  TRY(source.open());
  for (;;) {
    const std::string name = TRY(source.next());
    if (name.empty()) return not_an_archive(path);
    if (name == "index.json") return parse_index(TRY(source.read_document()));
  }
}

Result<void> unpack_archive(const std::string& path, const std::string& directory,
                            const std::function<bool(std::string_view)>& have) {
  TRY(os::make_directories(directory + "/blobs/sha256"));
  return is_directory(path) ? unpack_directory(path, directory, have)
                            : unpack_tar(path, directory, have);
}

Result<std::vector<ArchivedImage>> read_layout(const std::string& directory,
                                               const LocateBlob& locate) {
  const auto entries =
      TRY(parse_index(TRY(os::read_file(directory + "/index.json", kDocumentBytesMax))));
  std::vector<ArchivedImage> images;
  for (const Descriptor& entry : entries) {
    auto chosen = TRY(choose_manifest(entry, locate));
    if (!chosen) continue;
    ArchivedImage image;
    image.name = name_of(entry);
    image.entry_digest = entry.digest;
    image.manifest = std::move(*chosen);
    image.parts = TRY(parse_manifest(TRY(read_document(image.manifest, locate))));
    TRY(check_parts(image.parts, locate));
    images.push_back(std::move(image));
  }
  if (images.empty()) {
    return fail(Code::bad_request,
                fmt::format("the archive has no image for linux {}", machine_architecture()));
  }
  return images;
}

}  // namespace nimbus::image
