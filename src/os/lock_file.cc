#include "os/lock_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/text.h"
#include "os/atomic_file.h"

namespace nimbus::os {

namespace {

// Whoever held it may have removed it since it was opened: then the lock is nobody's any more.
bool is_the_file(int fd, const std::string& path) {
  struct stat held{};
  struct stat there{};
  return ::fstat(fd, &held) == 0 && ::lstat(path.c_str(), &there) == 0 &&
         held.st_ino == there.st_ino && held.st_dev == there.st_dev;
}

}  // namespace

Result<LockFile> LockFile::acquire(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return fail(errno_error("locking " + path, errno));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return fail(errno_error("locking " + path, errno));
    const auto holder = read_file(path, 64);
    const std::string pid(holder ? trim(*holder) : std::string_view());
    return fail(
        Code::conflict,
        fmt::format("{} is held by {}", path, pid.empty() ? "another process" : "process " + pid),
        "stop that process, or use another directory");
  }
  if (!is_the_file(fd.get(), path)) {
    return fail(Code::conflict, path + " was being removed by another process", "start it again");
  }
  const std::string pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(fd.get(), 0) != 0 ||
      ::write(fd.get(), pid.data(), pid.size()) != static_cast<ssize_t>(pid.size()))
    return fail(errno_error("writing " + path, errno));
  return LockFile(std::move(fd));
}

}  // namespace nimbus::os
