#include "guest/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace nimbus::guest {
namespace {

bool write_with(const std::string& path, std::string_view text, int flags) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
  if (fd < 0) return false;
  const ssize_t count = ::write(fd, text.data(), text.size());
  const int reason = errno;
  ::close(fd);
  errno = reason;
  return count == static_cast<ssize_t>(text.size());
}

}  // namespace

std::string read_file(const std::string& path) {
  std::string text;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return text;
  std::array<char, 4096> buffer{};
  while (text.size() < kFileBytesMax) {
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count <= 0) break;
    text.append(buffer.data(), static_cast<size_t>(count));
  }
  ::close(fd);
  return text;
}

bool write_file(const std::string& path, std::string_view text) {
  return write_with(path, text, O_TRUNC);
}

bool append_file(const std::string& path, std::string_view text) {
  return write_with(path, text, O_APPEND);
}

}  // namespace nimbus::guest
