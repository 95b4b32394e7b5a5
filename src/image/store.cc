#include "image/store.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <set>

#include "base/clock.h"
#include "base/encoding.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/text.h"
#include "image/archive.h"
#include "image/files.h"
#include "image/squashfs.h"
#include "image/store_index.h"
#include "os/atomic_file.h"

namespace nimbus::image {
namespace {

// How long an image that lost its name keeps its bytes: a machine that is just being booted from it
// must still find the file.
constexpr auto kReplacedKept = std::chrono::hours(1);
constexpr std::string_view kArchiveSuffix = ".oci.tar";

struct FileHash {
  std::string digest;
  int64_t size = 0;
};

Result<FileHash> hash_file(const std::string& path) {
  const os::UniqueFd file = TRY(open_to_read(path));
  Sha256 hash;
  FileHash result;
  std::string buffer(256 << 10, '\0');
  for (;;) {
    const ssize_t count = ::read(file.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(errno_error("reading " + path, errno));
    if (count == 0) break;
    hash.update(std::string_view(buffer.data(), static_cast<size_t>(count)));
    result.size += count;
  }
  result.digest = "sha256:" + to_hex(hash.finish());
  return result;
}

tl::unexpected<Error> not_its_digest(std::string_view digest) {
  return fail(Code::corrupt, fmt::format("blob {} is not what its digest says", digest),
              "import the image again");
}

// A stored document, checked against its digest.
Result<std::string> read_checked(const std::string& path, const std::string& digest) {
  std::string document = TRY(os::read_file(path, kDocumentBytesMax));
  if (digest_of(document) != digest) return not_its_digest(digest);
  return document;
}

// What `ensure` knows of one archive, so that it is opened again only when it has changed.
struct KnownArchive {
  int64_t size = -1;
  int64_t mtime_ns = -1;
  std::vector<std::pair<std::string, std::string>> names;  // name and digest of each entry
};

enum class Origin { operator_, archive_directory };

}  // namespace

struct Store::State {
  StoreOptions options;
  std::mutex mutex;                     // guards what follows; never held while the disk is slow
  std::map<std::string, Image> images;  // by manifest digest, without name and source
  std::map<std::string, KnownArchive> archives;

  std::string path(std::string_view name) const {
    return options.directory + "/" + std::string(name);
  }
  std::string index_path() const { return path("index.json"); }
  std::string blob_path(std::string_view digest) const {
    return path("blobs/sha256/") + std::string(digest_hex(digest));
  }
  std::string rootfs_path(std::string_view digest) const {
    return path("rootfs/") + std::string(digest_hex(digest)) + ".squashfs";
  }
  // The squashfs file's own digest, written beside it for `verify`.
  std::string rootfs_digest_path(std::string_view digest) const {
    return rootfs_path(digest) + ".digest";
  }

  Result<FileLock> lock() const { return FileLock::take(path("locks/store")); }
  Result<Manifest> read_manifest(const Descriptor& descriptor) const;
  Result<Image> describe(const StoredImage& stored);
  Result<void> adopt(const ArchivedImage& image, const std::string& staging) const;
  Result<std::vector<Image>> import(const std::string& archive, const std::string& name,
                                    Origin origin);
  void collect_garbage(const StoreIndex& index) const;
  std::vector<ArchivedName> archived();
  std::optional<ArchivedName> find_archive(const Reference& reference);
  void read_names(const std::string& archive, KnownArchive& known) const;
  Result<void> build_rootfs(const Descriptor& manifest) const;
};

Result<std::unique_ptr<Store>> Store::open(StoreOptions options) {
  auto state = std::make_unique<State>();
  state->options = std::move(options);
  TRY_IN("opening the image store", os::make_directories(state->options.directory));
  for (std::string_view name : {"blobs", "blobs/sha256", "rootfs", "locks", "tmp"})
    TRY_IN("opening the image store", os::make_directories(state->path(name)));
  remove_abandoned(state->path("tmp"));
  const FileLock lock = TRY_IN("opening the image store", state->lock());
  if (!exists(state->index_path())) {
    TRY(os::write_file_atomically(state->path("oci-layout"), R"({"imageLayoutVersion":"1.0.0"})"));
    TRY(StoreIndex().write(state->index_path()));
  }
  return std::unique_ptr<Store>(new Store(std::move(state)));
}

Store::Store(std::unique_ptr<State> state) : state_(std::move(state)) {}
Store::~Store() = default;
const StoreOptions& Store::options() const { return state_->options; }

Result<Manifest> Store::State::read_manifest(const Descriptor& descriptor) const {
  return parse_manifest(TRY(read_checked(blob_path(descriptor.digest), descriptor.digest)));
}

Result<Image> Store::State::describe(const StoredImage& stored) {
  auto with_names = [&](Image image) {
    image.name = stored.name;
    image.source = stored.source;
    return image;
  };
  {
    const std::scoped_lock guard(mutex);
    const auto known = images.find(stored.manifest.digest);
    if (known != images.end()) return with_names(known->second);
  }
  const Manifest manifest = TRY(read_manifest(stored.manifest));
  const std::string& config_digest = manifest.config.digest;
  ConfigDocument config =
      TRY(parse_config(TRY(read_checked(blob_path(config_digest), config_digest))));
  Image image;
  image.digest = stored.manifest.digest;
  image.layers = static_cast<int>(manifest.layers.size());
  for (const Descriptor& layer : manifest.layers) image.size_bytes += layer.size;
  image.created = config.created;
  image.config =
      ImageConfig{std::move(config.env), std::move(config.user), std::move(config.working_dir),
                  std::move(config.entrypoint), std::move(config.command)};
  const std::scoped_lock guard(mutex);
  images[image.digest] = image;
  return with_names(std::move(image));
}

Result<std::vector<Image>> Store::import_archive(const std::string& path, const std::string& name) {
  return TRY_IN("importing " + path, state_->import(path, name, Origin::operator_));
}

// The lock is held throughout: blobs that the archive shares with the store must not be collected
// before the index names them.
Result<std::vector<Image>> Store::State::import(const std::string& archive, const std::string& name,
                                                Origin origin) {
  const FileLock held = TRY(lock());
  const TemporaryDirectory staging = TRY(TemporaryDirectory::make(path("tmp")));
  auto have = [&](std::string_view digest) {
    const auto stored = hash_file(blob_path(digest));
    return stored && stored->digest == digest;
  };
  TRY(unpack_archive(archive, staging.path(), have));
  auto locate = [&](std::string_view digest) {
    std::string staged = staging.file("blobs/sha256/") + std::string(digest_hex(digest));
    if (exists(staged)) return staged;
    return exists(blob_path(digest)) ? blob_path(digest) : std::string();
  };
  auto found = TRY(read_layout(staging.path(), locate));
  if (!name.empty() && found.size() > 1) {
    return fail(Code::bad_request, fmt::format("the archive holds {} images, so one name will not "
                                               "do",
                                               found.size()));
  }
  StoreIndex index = TRY(StoreIndex::read(index_path()));
  std::vector<Image> imported;
  for (ArchivedImage& image : found) {
    const std::string& chosen = name.empty() ? image.name : name;
    if (chosen.empty()) {
      return fail(Code::bad_request, "the archive does not name its image",
                  "name it: nimbus image import FILE --name NAME");
    }
    const Reference reference = TRY(parse_reference(chosen));
    if (reference.name.empty() || !reference.digest.empty())
      return fail(Code::bad_request, fmt::format("`{}` is not an image name", chosen));
    TRY(adopt(image, staging.path()));
    StoredImage stored;
    stored.manifest = image.manifest;
    stored.manifest.annotations.clear();
    stored.name = reference.name;
    if (origin == Origin::archive_directory) {
      stored.source = archive;
      stored.source_digest = image.entry_digest;
    }
    imported.push_back(TRY(describe(stored)));
    index.put(std::move(stored), system_clock().now());
  }
  TRY(sync_directory(path("blobs/sha256")));
  index.forget_replaced_before(system_clock().now() - kReplacedKept);
  TRY(index.write(index_path()));
  collect_garbage(index);
  return imported;
}

// Moves an image's blobs from the staging directory into the store.
Result<void> Store::State::adopt(const ArchivedImage& image, const std::string& staging) const {
  auto move = [&](const Descriptor& descriptor) -> Result<void> {
    const std::string staged =
        staging + "/blobs/sha256/" + std::string(digest_hex(descriptor.digest));
    return exists(staged) ? rename_file(staged, blob_path(descriptor.digest)) : Result<void>();
  };
  for (const Descriptor& layer : image.parts.layers) TRY(move(layer));
  TRY(move(image.parts.config));
  return move(image.manifest);
}

std::vector<ArchivedName> Store::State::archived() {
  const std::scoped_lock guard(mutex);
  std::vector<ArchivedName> found;
  for (const std::string& directory : options.archives) {
    for (const std::string& name : file_names(directory)) {
      if (!name.ends_with(kArchiveSuffix)) continue;
      const std::string file = fmt::format("{}/{}", directory, name);
      KnownArchive& known = archives[file];
      read_names(file, known);
      for (const auto& [image, digest] : known.names)
        found.push_back(ArchivedName{image, digest, file});
    }
  }
  return found;
}

std::optional<ArchivedName> Store::State::find_archive(const Reference& reference) {
  for (ArchivedName& found : archived()) {
    if (reference.digest.empty() ? found.name == reference.name : found.digest == reference.digest)
      return std::move(found);
  }
  return std::nullopt;
}

std::vector<ArchivedName> Store::archived() { return state_->archived(); }

void Store::State::read_names(const std::string& archive, KnownArchive& known) const {
  struct stat status;
  if (::stat(archive.c_str(), &status) != 0) return;
  const int64_t mtime_ns = status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec;
  if (known.size == status.st_size && known.mtime_ns == mtime_ns) return;
  known = KnownArchive{status.st_size, mtime_ns, {}};
  const auto entries = read_archive_index(archive);
  if (!entries) return log_error("image archive cannot be read", entries.error());
  for (const Descriptor& entry : *entries) {
    const auto named = entry.annotations.find(std::string(kRefNameAnnotation));
    if (named == entry.annotations.end()) continue;
    if (auto parsed = parse_reference(named->second))
      known.names.emplace_back(parsed->name, entry.digest);
  }
}

Result<Image> Store::ensure(const std::string& ref) {
  const Reference reference = TRY(parse_reference(ref));
  const StoreIndex index = TRY(StoreIndex::read(state_->index_path()));
  const StoredImage* stored = index.find(reference);
  if (stored && (!reference.digest.empty() || stored->source.empty()))
    return state_->describe(*stored);
  const auto archive = state_->find_archive(reference);
  if (stored && (!archive || archive->digest == stored->source_digest))
    return state_->describe(*stored);
  if (archive) {
    TRY_IN("importing " + archive->path,
           state_->import(archive->path, "", Origin::archive_directory));
    log_info("image imported", {{"archive", archive->path}, {"image", ref}});
  }
  return read(ref);
}

Result<std::optional<Image>> Store::find(const std::string& ref) {
  const Reference reference = TRY(parse_reference(ref));
  const StoreIndex index = TRY(StoreIndex::read(state_->index_path()));
  const StoredImage* stored = index.find(reference);
  if (stored == nullptr) return std::nullopt;
  return TRY(state_->describe(*stored));
}

Result<Image> Store::read(const std::string& ref) {
  if (auto image = TRY(find(ref))) return std::move(*image);
  std::vector<std::string> names;
  for (const Image& image : TRY(list())) names.push_back(image.name);
  return fail(Code::not_found, fmt::format("no image `{}` on this host", ref),
              "import it with `nimbus image import FILE` or build Nimbus's own with `make images`" +
                  (names.empty() ? "" : "; there are: " + join(names, ", ")));
}

Result<std::vector<Image>> Store::list() {
  const StoreIndex index = TRY(StoreIndex::read(state_->index_path()));
  std::vector<Image> images;
  for (const StoredImage& stored : index.images())
    if (!stored.name.empty()) images.push_back(TRY(state_->describe(stored)));
  std::sort(images.begin(), images.end(),
            [](const Image& a, const Image& b) { return a.name < b.name; });
  return images;
}

Result<RootFilesystem> Store::root_filesystem(const std::string& ref) {
  const Reference reference = TRY(parse_reference(ref));
  const StoreIndex index = TRY(StoreIndex::read(state_->index_path()));
  const StoredImage* stored = index.find(reference);
  if (stored == nullptr) {
    auto missing = read(ref);
    return missing ? fail(Code::conflict, fmt::format("image {} is just being imported", ref))
                   : fail(missing.error());
  }
  const std::string path = state_->rootfs_path(stored->manifest.digest);
  if (!exists(path))
    TRY_IN(fmt::format("preparing image {}", ref), state_->build_rootfs(stored->manifest));
  return RootFilesystem{path, stored->manifest.digest, file_size(path)};
}

Result<void> Store::State::build_rootfs(const Descriptor& descriptor) const {
  const std::string digest = descriptor.digest;
  const FileLock held = TRY(FileLock::take(path("locks/") + std::string(digest_hex(digest))));
  if (exists(rootfs_path(digest))) return {};
  const TemporaryDirectory staging = TRY(TemporaryDirectory::make(path("tmp")));
  const Manifest manifest = TRY(read_manifest(descriptor));
  std::vector<LayerFile> layers;
  layers.reserve(manifest.layers.size());
  for (const Descriptor& layer : manifest.layers)
    layers.push_back(LayerFile{layer, blob_path(layer.digest)});
  const std::string made = staging.file("rootfs");
  TRY(write_squashfs(layers, made));
  os::UniqueFd file = TRY(open_to_read(made));
  TRY(sync_file(file.get(), made));
  ::fchmod(file.get(), 0444);
  const FileHash hash = TRY(hash_file(made));
  TRY(os::write_file_atomically(rootfs_digest_path(digest), hash.digest + "\n"));
  TRY(rename_file(made, rootfs_path(digest)));
  return sync_directory(path("rootfs"));
}

Result<void> Store::verify(const std::string& ref) {
  const Image image = TRY(read(ref));
  const StoreIndex index = TRY(StoreIndex::read(state_->index_path()));
  const StoredImage* stored = index.find(Reference{"", image.digest});
  if (stored == nullptr) return fail(Code::not_found, fmt::format("no image `{}`", ref));
  const Manifest manifest = TRY(state_->read_manifest(stored->manifest));
  std::vector<Descriptor> parts = manifest.layers;
  parts.push_back(manifest.config);
  parts.push_back(stored->manifest);
  for (const Descriptor& part : parts) {
    const FileHash hash = TRY(hash_file(state_->blob_path(part.digest)));
    if (hash.digest != part.digest || hash.size != part.size) return not_its_digest(part.digest);
  }
  const std::string rootfs = state_->rootfs_path(image.digest);
  if (!exists(rootfs)) return {};
  const std::string recorded =
      TRY(os::read_file(state_->rootfs_digest_path(image.digest), kDocumentBytesMax));
  if (TRY(hash_file(rootfs)).digest == trim(recorded)) return {};
  return fail(Code::corrupt, fmt::format("{} is not the file that was built", rootfs),
              "delete it; the next job builds it again");
}

Result<void> Store::remove(const std::string& ref) {
  const Reference reference = TRY(parse_reference(ref));
  const FileLock held = TRY(state_->lock());
  StoreIndex index = TRY(StoreIndex::read(state_->index_path()));
  if (!index.remove(reference))
    return fail(Code::not_found, fmt::format("no image `{}` on this host", ref));
  TRY(index.write(state_->index_path()));
  state_->collect_garbage(index);
  return {};
}

// Deletes blobs and file systems that no image of the index needs. Nothing at all when a manifest
// is damaged, since then nobody knows what it needs.
void Store::State::collect_garbage(const StoreIndex& index) const {
  std::set<std::string, std::less<>> blobs, manifests;
  for (const StoredImage& image : index.images()) {
    const auto manifest = read_manifest(image.manifest);
    if (!manifest) return log_error("image store not cleaned", manifest.error());
    manifests.emplace(digest_hex(image.manifest.digest));
    blobs.emplace(digest_hex(image.manifest.digest));
    blobs.emplace(digest_hex(manifest->config.digest));
    for (const Descriptor& layer : manifest->layers) blobs.emplace(digest_hex(layer.digest));
  }
  for (const std::string& name : file_names(path("blobs/sha256")))
    if (!blobs.contains(name)) ::unlink((path("blobs/sha256/") + name).c_str());
  for (const std::string& name : file_names(path("rootfs"))) {
    if (!manifests.contains(name.substr(0, name.find('.'))))
      ::unlink((path("rootfs/") + name).c_str());
  }
}

}  // namespace nimbus::image
