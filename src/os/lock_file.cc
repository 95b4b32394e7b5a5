#include "os/lock_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "base/text.h"
#include "os/atomic_file.h"

namespace nimbus::os {

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
  const std::string pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(fd.get(), 0) != 0 ||
      ::write(fd.get(), pid.data(), pid.size()) != static_cast<ssize_t>(pid.size()))
    return fail(errno_error("writing " + path, errno));
  return LockFile(std::move(fd));
}

}  // namespace nimbus::os
