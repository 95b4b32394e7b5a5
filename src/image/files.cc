#include "image/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "base/encoding.h"
#include "base/random.h"
#include "os/atomic_file.h"

namespace nimbus::image {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kLockSuffix = ".lock";

tl::unexpected<Error> refused(std::string_view what, const std::string& path) {
  const int number = errno;
  Error error = errno_error(fmt::format("{} {}", what, path), number);
  if (number == ENOENT) error.code = Code::not_found;
  if (number == ENOSPC || number == EDQUOT) error.hint = "the disk is full";
  return fail(std::move(error));
}

std::string random_name() { return to_hex(system_random().bytes(8)); }

}  // namespace

Result<os::UniqueFd> open_to_read(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return refused("opening", path);
  return os::UniqueFd(fd);
}

Result<os::UniqueFd> create_new(const std::string& path, int mode) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0) return refused("creating", path);
  return os::UniqueFd(fd);
}

Result<void> write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return refused("writing", "a file");
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return {};
}

Result<void> sync_file(int fd, const std::string& path) {
  if (::fsync(fd) != 0) return refused("syncing", path);
  return {};
}

Result<void> sync_directory(const std::string& path) {
  os::UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0) return refused("opening", path);
  return sync_file(directory.get(), path);
}

Result<void> rename_file(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return refused("renaming to", to);
  return {};
}

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

int64_t file_size(const std::string& path) {
  struct stat status;
  return ::lstat(path.c_str(), &status) == 0 ? status.st_size : -1;
}

std::vector<std::string> file_names(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (auto entry = fs::directory_iterator(directory, error);
       !error && entry != fs::directory_iterator(); entry.increment(error)) {
    std::error_code ignored;
    if (entry->is_regular_file(ignored)) names.push_back(entry->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// The lock file lies beside the directory and gets its name only when it is locked, before the
// directory exists: so a directory whose lock is free is always an abandoned one.
Result<TemporaryDirectory> TemporaryDirectory::make(const std::string& parent) {
  const std::string path = parent + "/" + random_name();
  os::UniqueFd lock = TRY(create_new(path));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) return refused("locking", path);
  TRY(rename_file(path, path + std::string(kLockSuffix)));
  if (::mkdir(path.c_str(), 0700) != 0) return refused("making directory", path);
  return TemporaryDirectory(path, std::move(lock));
}

TemporaryDirectory::~TemporaryDirectory() {
  if (path_.empty()) return;
  (void)os::remove_tree(path_);
  ::unlink((path_ + std::string(kLockSuffix)).c_str());
}

void remove_abandoned(const std::string& parent) {
  for (const std::string& name : file_names(parent)) {
    if (!name.ends_with(kLockSuffix)) continue;
    const std::string lock_path = fmt::format("{}/{}", parent, name);
    os::UniqueFd lock(::open(lock_path.c_str(), O_RDONLY | O_CLOEXEC));
    if (lock.get() < 0 || ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) continue;
    (void)os::remove_tree(lock_path.substr(0, lock_path.size() - kLockSuffix.size()));
    ::unlink(lock_path.c_str());
  }
}

Result<FileLock> FileLock::take(const std::string& path) {
  os::UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (file.get() < 0) return refused("opening lock", path);
  while (::flock(file.get(), LOCK_EX) != 0)
    if (errno != EINTR) return refused("locking", path);
  return FileLock(std::move(file));
}

}  // namespace nimbus::image
