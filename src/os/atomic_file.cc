#include "os/atomic_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <memory>

#include "os/unique_fd.h"

namespace nimbus::os {

namespace {

// ENOSPC and EDQUOT pass; everything else the system refuses will be refused again.
Error file_error(const std::string& what, int error) {
  Error result = errno_error(what, error);
  if (error == ENOSPC || error == EDQUOT) {
    result.code = Code::unavailable;
    result.hint = "free disk space";
  } else if (error == ENOENT) {
    result.code = Code::not_found;
  }
  return result;
}

std::string directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Result<void> write_all(int fd, std::string_view bytes, const std::string& what) {
  while (!bytes.empty()) {
    const auto written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail(file_error(what, errno));
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return {};
}

Result<void> write_temporary(const std::string& temporary, std::string_view bytes, mode_t mode,
                             const std::string& what) {
  UniqueFd fd(
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!fd) return fail(file_error(what, errno));
  TRY(write_all(fd.get(), bytes, what));
  if (::fchmod(fd.get(), mode) != 0 || ::fsync(fd.get()) != 0) return fail(file_error(what, errno));
  if (::close(fd.release()) != 0) return fail(file_error(what, errno));
  return {};
}

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

bool is_dot(const char* name) {
  return name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0));
}

// Empties and removes `name` below `parent`; `device` is the file system it may not leave.
Result<void> remove_at(int parent, const std::string& name, dev_t device, const std::string& path) {
  struct stat status{};
  if (::fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return {};
    return fail(file_error("removing " + path, errno));
  }
  if (!S_ISDIR(status.st_mode)) {
    if (::unlinkat(parent, name.c_str(), 0) != 0 && errno != ENOENT)
      return fail(file_error("removing " + path, errno));
    return {};
  }
  if (status.st_dev != device)
    return fail(Code::conflict, "removing " + path + ": another file system is mounted there");
  const int fd = ::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return fail(file_error("removing " + path, errno));
  const Directory directory(::fdopendir(fd));
  while (const dirent* entry = ::readdir(directory.get())) {
    if (is_dot(entry->d_name)) continue;
    TRY(remove_at(fd, entry->d_name, device, path + "/" + entry->d_name));
  }
  if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT)
    return fail(file_error("removing " + path, errno));
  return {};
}

}  // namespace

Result<void> write_file_atomically(const std::string& path, std::string_view bytes, mode_t mode) {
  static std::atomic<unsigned> counter{0};
  const std::string what = "writing " + path;
  const std::string temporary = fmt::format("{}.tmp-{}-{}", path, ::getpid(), counter++);
  auto written = write_temporary(temporary, bytes, mode, what);
  if (written && ::rename(temporary.c_str(), path.c_str()) != 0)
    written = fail(file_error(what, errno));
  if (!written) {
    ::unlink(temporary.c_str());
    return written;
  }
  const UniqueFd directory(::open(directory_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory || ::fsync(directory.get()) != 0) return fail(file_error(what, errno));
  return {};
}

Result<std::string> read_file(const std::string& path, size_t bytes_max) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail(file_error("reading " + path, errno));
  std::string bytes;
  char piece[16384];
  while (true) {
    const auto got = ::read(fd.get(), piece, sizeof piece);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(file_error("reading " + path, errno));
    if (got == 0) return bytes;
    bytes.append(piece, static_cast<size_t>(got));
    if (bytes.size() > bytes_max)
      return fail(Code::too_large, fmt::format("{} is over {} bytes", path, bytes_max));
  }
}

Result<void> make_directories(const std::string& path, mode_t mode) {
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (::mkdir(part.c_str(), mode) != 0 && errno != EEXIST)
      return fail(file_error("making directory " + part, errno));
    if (end == std::string::npos) break;
  }
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0)
    return fail(file_error("making directory " + path, errno));
  if (!S_ISDIR(status.st_mode))
    return fail(Code::conflict, path + " exists and is not a directory");
  return {};
}

Result<void> remove_tree(const std::string& path) {
  const std::string parent_path = directory_of(path);
  const auto slash = path.rfind('/');
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (name.empty() || name == "." || name == "..")
    return fail(Code::bad_request, "removing " + path + ": not a name");
  const UniqueFd parent(::open(parent_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent) {
    if (errno == ENOENT) return {};
    return fail(file_error("removing " + path, errno));
  }
  struct stat status{};
  if (::fstat(parent.get(), &status) != 0) return fail(file_error("removing " + path, errno));
  return remove_at(parent.get(), name, status.st_dev, path);
}

}  // namespace nimbus::os
