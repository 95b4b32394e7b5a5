#include "net/send_file.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "base/log.h"

namespace nimbus::net {
namespace {

// Up to here a copy is cheaper than a second system call.
constexpr uint64_t kJoinBytesMax = uint64_t{64} * 1024;
// One turn of a plain connection: others get the loop in between.
constexpr uint64_t kSendStepBytes = uint64_t{1024} * 1024;
constexpr uint64_t kTlsStepBytes = uint64_t{256} * 1024;

enum class Read { whole, cold, short_file };

// Reads what is in memory already; `cold` when the disk would have to be asked.
Read read_cached(const FileBody& file, uint64_t offset, char* data, size_t size) {
  while (size > 0) {
    iovec piece{data, size};
    const ssize_t got =
        ::preadv2(file.fd, &piece, 1, static_cast<off_t>(file.offset + offset), RWF_NOWAIT);
    if (got < 0 && errno == EINTR) continue;
    // EOPNOTSUPP: a file system that cannot tell.
    if (got < 0) return Read::cold;
    if (got == 0) return Read::short_file;
    data += got;
    offset += static_cast<uint64_t>(got);
    size -= static_cast<size_t>(got);
  }
  return Read::whole;
}

bool read_blocking(const FileBody& file, uint64_t offset, char* data, size_t size) {
  while (size > 0) {
    const ssize_t got = ::pread(file.fd, data, size, static_cast<off_t>(file.offset + offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    data += got;
    offset += static_cast<uint64_t>(got);
    size -= static_cast<size_t>(got);
  }
  return true;
}

Task<bool> read_part(Loop& loop, const FileBody& file, uint64_t offset, std::string& into) {
  const Read read = read_cached(file, offset, into.data(), into.size());
  if (read == Read::whole) co_return true;
  if (read == Read::short_file) co_return false;
  std::function<bool()> call = [&file, offset, &into] {
    return read_blocking(file, offset, into.data(), into.size());
  };
  co_return co_await loop.blocking(std::move(call));
}

// Whether the part's first and last bytes are in memory; the kernel reads ahead in between.
bool is_warm(const FileBody& file, uint64_t offset, uint64_t size) {
  char byte = 0;
  return read_cached(file, offset, &byte, 1) != Read::cold &&
         read_cached(file, offset + size - 1, &byte, 1) != Read::cold;
}

void warm(const FileBody& file, uint64_t offset, uint64_t size) {
  std::string room(64 * 1024, '\0');
  for (uint64_t done = 0; done < size; done += room.size()) {
    const size_t step = std::min<uint64_t>(room.size(), size - done);
    if (!read_blocking(file, offset + done, room.data(), step)) return;
  }
}

Task<bool> send_plain(Loop& loop, Transport& transport, const FileBody& file) {
  bool known_warm = true;
  for (uint64_t done = 0; done < file.size;) {
    const uint64_t step = std::min(kSendStepBytes, file.size - done);
    if (!is_warm(file, done, step)) {
      if (known_warm) ::posix_fadvise(file.fd, 0, 0, POSIX_FADV_SEQUENTIAL);
      known_warm = false;
      std::function<void()> call = [&file, done, step] { warm(file, done, step); };
      co_await loop.run_blocking(std::move(call));
    }
    const auto [ec, sent] = co_await transport.send_file(file.fd, file.offset + done, step);
    if (ec) co_return false;
    if (sent < step) {
      log_error("a file is shorter than its answer", {{"missing_bytes", file.size - done - sent}});
      co_return false;
    }
    done += sent;
  }
  co_return true;
}

Task<bool> send_copied(Loop& loop, Transport& transport, const FileBody& file) {
  std::string piece;
  for (uint64_t done = 0; done < file.size; done += piece.size()) {
    piece.resize(std::min(kTlsStepBytes, file.size - done));
    if (!co_await read_part(loop, file, done, piece)) co_return false;
    if (co_await transport.write(piece)) co_return false;
  }
  co_return true;
}

}  // namespace

Task<bool> send_file(Loop& loop, Transport& transport, std::string_view head, FileBody file) {
  if (file.size <= kJoinBytesMax) {
    std::string body(file.size, '\0');
    if (!co_await read_part(loop, file, 0, body)) co_return false;
    co_return !co_await transport.write(head, body);
  }
  if (co_await transport.write(head)) co_return false;
  if (transport.secure()) co_return co_await send_copied(loop, transport, file);
  co_return co_await send_plain(loop, transport, file);
}

}  // namespace nimbus::net
