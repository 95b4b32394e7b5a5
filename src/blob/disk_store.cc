#include "blob/disk_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/encoding.h"
#include "base/log.h"
#include "blob/disk_errors.h"
#include "blob/open_file.h"
#include "blob/upload_file.h"
#include "os/atomic_file.h"
#include "os/unique_fd.h"

namespace nimbus::blob {
namespace {

namespace files = std::filesystem;
constexpr size_t kVerifyBytes = size_t{1} << 20;
constexpr size_t kUploadIdBytes = 16;
constexpr char kResumable = 'r';
constexpr char kOneRequest = 't';

std::string shard_of(const Digest& digest) {
  return std::string(to_string(digest.algorithm)) + "/" + digest.hex.substr(0, 2);
}

Result<void> sync_directory(const std::string& path) {
  const os::UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory || ::fsync(directory.get()) != 0) {
    return fail(disk_error("making " + path + " durable", errno));
  }
  return {};
}

Time modified_at(const struct stat& status) {
  return from_us(int64_t{status.st_mtim.tv_sec} * 1'000'000 + status.st_mtim.tv_nsec / 1000);
}

bool is_upload_id(std::string_view id) {
  return id.size() == 1 + 2 * kUploadIdBytes && (id[0] == kResumable || id[0] == kOneRequest) &&
         id.find_first_not_of("0123456789abcdef", 1) == std::string_view::npos;
}

// The names in a directory that are digests of this algorithm, in order.
std::vector<Digest> digests_in(const std::string& directory, Algorithm algorithm) {
  std::vector<Digest> digests;
  std::error_code failed;
  for (files::directory_iterator it(directory, failed), end; !failed && it != end;
       it.increment(failed)) {
    auto digest =
        parse_digest(std::string(to_string(algorithm)) + ":" + it->path().filename().string());
    if (digest) digests.push_back(std::move(*digest));
  }
  std::sort(digests.begin(), digests.end());
  return digests;
}

}  // namespace

struct DiskStore::OpenFiles {
  struct Entry {
    std::shared_ptr<const OpenFile> blob;
    std::list<Digest>::iterator use;
  };
  std::map<Digest, Entry> entries;
  std::list<Digest> by_use;  // the least recently used first
  uint64_t removals = 0;     // what was opened before the latest one may be gone
};

DiskStore::DiskStore(net::Loop& loop, Options options)
    : Store(loop),
      loop_(loop),
      options_(std::move(options)),
      uploads_(options_.directory + "/uploads"),
      queues_(std::make_shared<UploadQueues>(UploadQueues{loop_, uploads_})),
      open_files_(std::make_unique<OpenFiles>()) {}

DiskStore::~DiskStore() {
  // They are for the next process.
  for (auto& [id, file] : suspended_) file->keep();
}

Result<std::unique_ptr<DiskStore>> DiskStore::open_directory(net::Loop& loop, Options options) {
  auto store = std::unique_ptr<DiskStore>(new DiskStore(loop, std::move(options)));
  const std::string& root = store->options_.directory;
  TRY(os::make_directories(store->uploads_));
  TRY(os::make_directories(root + "/quarantine"));
  for (const std::string_view algorithm : {"sha256", "sha512"}) {
    const std::string parent = root + "/" + std::string(algorithm);
    for (int shard = 0; shard < 256; ++shard) {
      const auto byte = static_cast<char>(shard);
      TRY(os::make_directories(parent + "/" + to_hex({&byte, 1})));
    }
    TRY(sync_directory(parent));
  }
  TRY(sync_directory(root));
  if (!store->options_.owner) return store;
  std::error_code failed;
  for (files::directory_iterator it(store->uploads_, failed), end; !failed && it != end;
       it.increment(failed)) {
    const std::string name = it->path().filename().string();
    if (name[0] != kResumable || !is_upload_id(name)) ::unlink(it->path().c_str());
  }
  return store;
}

std::string DiskStore::path_of(const Digest& digest) const {
  return options_.directory + "/" + shard_of(digest) + "/" + digest.hex;
}

Task<Result<std::unique_ptr<Upload>>> DiskStore::begin(UploadOptions options) {
  std::string id(1, options.resumable ? kResumable : kOneRequest);
  id += to_hex(options_.random.bytes(kUploadIdBytes));
  auto file = std::make_shared<UploadFile>(queues_, std::move(id), options.algorithm);
  if (options.resumable) resumable_[file->id()] = file;
  co_return std::make_unique<DiskUpload>(loop_, pins(), static_cast<UploadPlace&>(*this),
                                         std::move(file));
}

Task<Result<std::unique_ptr<Upload>>> DiskStore::resume(std::string id) {
  if (!is_upload_id(id) || id[0] != kResumable) {
    co_return fail(Code::not_found, "there is no such upload");
  }
  if (const auto kept = suspended_.find(id); kept != suspended_.end()) {
    auto file = kept->second;
    suspended_.erase(kept);
    co_return std::make_unique<DiskUpload>(loop_, pins(), static_cast<UploadPlace&>(*this),
                                           std::move(file));
  }
  if (const auto live = resumable_.find(id); live != resumable_.end() && !live->second.expired()) {
    co_return fail(Code::conflict, "the upload is being written to by another request");
  }
  std::function<Result<std::shared_ptr<UploadFile>>()> call = [this, &id] {
    return UploadFile::find(queues_, id);
  };
  CO_TRY_ASSIGN(auto file, co_await loop_.blocking(std::move(call)));
  resumable_[file->id()] = file;
  co_return std::make_unique<DiskUpload>(loop_, pins(), static_cast<UploadPlace&>(*this),
                                         std::move(file));
}

Task<Result<void>> DiskStore::discard(std::string id) {
  CO_TRY_ASSIGN(const auto upload, co_await resume(std::move(id)));
  co_return Result<void>();
}

void DiskStore::keep_suspended(std::shared_ptr<UploadFile> file) {
  suspended_[file->id()] = std::move(file);
}

Result<void> DiskStore::place(const std::string& path, const BlobInfo& blob) {
  const std::string target = path_of(blob.digest);
  struct stat status{};
  const bool there = ::stat(target.c_str(), &status) == 0 && status.st_size == blob.size;
  if (there) {
    ::unlink(path.c_str());
    // The sweep gives young blobs grace; this one was just needed.
    ::utimensat(AT_FDCWD, target.c_str(), nullptr, 0);
  } else if (::rename(path.c_str(), target.c_str()) != 0) {
    return fail(disk_error("placing a blob", errno));
  }
  return sync_directory(options_.directory + "/" + shard_of(blob.digest));
}

Task<Result<std::shared_ptr<const OpenBlob>>> DiskStore::open(Digest digest) {
  auto& open = *open_files_;
  if (const auto known = open.entries.find(digest); known != open.entries.end()) {
    open.by_use.splice(open.by_use.end(), open.by_use, known->second.use);
    co_return known->second.blob;
  }
  const uint64_t removals = open.removals;
  std::function<Result<std::shared_ptr<const OpenFile>>()> call = [this, &digest] {
    return OpenFile::open(loop_, path_of(digest), digest);
  };
  CO_TRY_ASSIGN(std::shared_ptr<const OpenFile> blob, co_await loop_.blocking(std::move(call)));
  if (open.removals != removals || open.entries.contains(digest)) co_return blob;
  open.entries[digest] = {blob, open.by_use.insert(open.by_use.end(), digest)};
  if (open.entries.size() > options_.open_blobs_max) {
    open.entries.erase(open.by_use.front());
    open.by_use.pop_front();
  }
  co_return blob;
}

void DiskStore::forget_open(const Digest& digest) {
  auto& open = *open_files_;
  ++open.removals;
  const auto known = open.entries.find(digest);
  if (known == open.entries.end()) return;
  open.by_use.erase(known->second.use);
  open.entries.erase(known);
}

Task<Result<BlobInfo>> DiskStore::find(Digest digest) {
  std::function<Result<BlobInfo>()> call = [this, &digest]() -> Result<BlobInfo> {
    struct stat status{};
    if (::stat(path_of(digest).c_str(), &status) != 0) {
      return fail(disk_error("looking for a blob", errno));
    }
    return BlobInfo{digest, status.st_size};
  };
  co_return co_await loop_.blocking(std::move(call));
}

Task<Result<void>> DiskStore::remove(Digest digest) {
  forget_open(digest);
  std::function<Result<void>()> call = [this, &digest]() -> Result<void> {
    if (::unlink(path_of(digest).c_str()) != 0 && errno != ENOENT) {
      return fail(disk_error("removing a blob", errno));
    }
    return {};
  };
  const Result<void> removed = co_await loop_.blocking(std::move(call));
  forget_open(digest);
  co_return removed;
}

Task<Result<Health>> DiskStore::verify(Digest digest, int64_t bytes_per_second) {
  std::function<Result<std::shared_ptr<const OpenFile>>()> open = [this, &digest] {
    return OpenFile::open(loop_, path_of(digest), digest);
  };
  const auto file = co_await loop_.blocking(std::move(open));
  if (!file && file.error().code == Code::not_found) co_return Health::missing;
  if (!file) co_return fail(file.error());
  Hasher hasher(digest.algorithm);
  const int64_t size = (*file)->info().size;
  for (int64_t at = 0; at < size; at += static_cast<int64_t>(kVerifyBytes)) {
    const size_t step = std::min<size_t>(kVerifyBytes, static_cast<size_t>(size - at));
    std::function<bool()> call = [&file, &hasher, at, step] {
      std::string piece(step, '\0');
      if (!(*file)->read(at, piece)) return false;
      hasher.update(piece);
      return true;
    };
    // A disk that cannot read its bytes has lost them.
    if (!co_await loop_.blocking(std::move(call))) co_return Health::rotten;
    if (bytes_per_second > 0) {
      co_await loop_.sleep(Duration(static_cast<int64_t>(step) * 1'000'000 / bytes_per_second));
    }
  }
  co_return hasher.finish() == digest ? Health::good : Health::rotten;
}

Task<Result<void>> DiskStore::quarantine(Digest digest) {
  forget_open(digest);
  std::function<Result<void>()> call = [this, &digest]() -> Result<void> {
    const std::string aside = options_.directory + "/quarantine/" +
                              std::string(to_string(digest.algorithm)) + "-" + digest.hex;
    if (::rename(path_of(digest).c_str(), aside.c_str()) != 0 && errno != ENOENT) {
      return fail(disk_error("putting a rotten blob aside", errno));
    }
    return {};
  };
  const Result<void> moved = co_await loop_.blocking(std::move(call));
  forget_open(digest);
  co_return moved;
}

Task<Result<std::vector<BlobInfo>>> DiskStore::list(std::optional<Digest> after, int limit) {
  std::function<Result<std::vector<BlobInfo>>()> call = [this, &after, limit] {
    std::vector<BlobInfo> found;
    for (const Algorithm algorithm : {Algorithm::sha256, Algorithm::sha512}) {
      for (int shard = 0; shard < 256; ++shard) {
        const auto byte = static_cast<char>(shard);
        const Digest least{algorithm, to_hex({&byte, 1})};
        if (after && shard_of(*after) > shard_of(least)) continue;
        for (const Digest& digest :
             digests_in(options_.directory + "/" + shard_of(least), algorithm)) {
          struct stat status{};
          if ((after && digest <= *after) || ::stat(path_of(digest).c_str(), &status) != 0)
            continue;
          found.push_back({digest, status.st_size});
          if (static_cast<int>(found.size()) == limit) return found;
        }
      }
    }
    return found;
  };
  co_return co_await loop_.blocking(std::move(call));
}

Task<Result<Time>> DiskStore::stored_at(Digest digest) {
  std::function<Result<Time>()> call = [this, &digest]() -> Result<Time> {
    struct stat status{};
    if (::stat(path_of(digest).c_str(), &status) != 0) {
      return fail(disk_error("looking for a blob", errno));
    }
    return modified_at(status);
  };
  co_return co_await loop_.blocking(std::move(call));
}

Task<Result<int>> DiskStore::expire_uploads(Time before) {
  std::function<std::vector<std::string>()> call = [this, before] {
    std::vector<std::string> idle;
    std::error_code failed;
    for (files::directory_iterator it(uploads_, failed), end; !failed && it != end;
         it.increment(failed)) {
      struct stat status{};
      const std::string name = it->path().filename().string();
      if (name[0] != kResumable || ::stat(it->path().c_str(), &status) != 0) continue;
      if (modified_at(status) < before) idle.push_back(name);
    }
    return idle;
  };
  const std::vector<std::string> idle = co_await loop_.blocking(std::move(call));
  std::erase_if(resumable_, [](const auto& entry) { return entry.second.expired(); });
  int expired = 0;
  for (const std::string& id : idle) {
    const Result<void> gone = co_await discard(id);
    if (gone) ++expired;
  }
  co_return expired;
}

Task<Result<void>> DiskStore::probe() {
  std::function<Result<void>()> call = [this]() -> Result<void> {
    const std::string path = uploads_ + "/probe";
    constexpr int kFlags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC;
    const os::UniqueFd file(::open(path.c_str(), kFlags, 0600));
    const std::string block(4096, '\0');
    Result<void> outcome;
    if (!file || ::write(file.get(), block.data(), block.size()) < 0 ||
        ::fdatasync(file.get()) != 0) {
      outcome = fail(disk_error("writing to the blob store's disk", errno));
    }
    ::unlink(path.c_str());
    return outcome;
  };
  co_return co_await loop_.blocking(std::move(call));
}

Task<Result<StoreSpace>> DiskStore::space() {
  std::function<Result<StoreSpace>()> call = [this]() -> Result<StoreSpace> {
    struct statvfs status{};
    if (::statvfs(options_.directory.c_str(), &status) != 0) {
      return fail(disk_error("asking for the disk's free space", errno));
    }
    const auto block = static_cast<int64_t>(status.f_frsize);
    return StoreSpace{static_cast<int64_t>(status.f_bavail) * block,
                      static_cast<int64_t>(status.f_blocks) * block};
  };
  co_return co_await loop_.blocking(std::move(call));
}

}  // namespace nimbus::blob
