#include "agent/spool.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/check.h"

namespace nimbus::agent {
namespace {

// A file is a header, {magic, where reading goes on}, and frames: {size, crc of the bytes}, bytes.
struct FileHeader {
  std::array<char, 8> magic;
  uint64_t read_at;
};
constexpr std::array<char, 8> kMagic{'n', 'b', 's', 'p', 'o', 'o', 'l', '1'};

struct FrameHeader {
  uint32_t size;
  uint32_t crc;
};

// CRC-32C (Castagnoli), a byte at a time: spooled bytes are few and the disk is slower.
constexpr std::array<uint32_t, 256> make_crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit)
      value = (value >> 1U) ^ ((value & 1U) != 0 ? 0x82f63b78U : 0U);
    table[i] = value;
  }
  return table;
}
constexpr auto kCrcTable = make_crc_table();

uint32_t crc32c(std::string_view bytes) {
  uint32_t crc = ~0U;
  for (const char c : bytes) crc = kCrcTable[(crc ^ static_cast<uint8_t>(c)) & 0xffU] ^ (crc >> 8U);
  return ~crc;
}

bool read_exactly(int fd, void* to, size_t size, uint64_t at) {
  auto* bytes = static_cast<char*>(to);
  while (size > 0) {
    const ssize_t count = ::pread(fd, bytes, size, static_cast<off_t>(at));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes += count;
    at += static_cast<uint64_t>(count);
    size -= static_cast<size_t>(count);
  }
  return true;
}

bool write_exactly(int fd, std::string_view bytes, uint64_t at) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    at += static_cast<uint64_t>(count);
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

std::string_view as_bytes(const auto& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

}  // namespace

bool SpoolBudget::take(const std::string& org, uint64_t bytes) {
  if (used_ + bytes > bytes_max_ || by_org_[org] + bytes > bytes_max_ / 2) return false;
  take_anyway(org, bytes);
  return true;
}

void SpoolBudget::take_anyway(const std::string& org, uint64_t bytes) {
  used_ += bytes;
  by_org_[org] += bytes;
}

void SpoolBudget::give_back(const std::string& org, uint64_t bytes) {
  CHECK(by_org_[org] >= bytes && used_ >= bytes);
  used_ -= bytes;
  by_org_[org] -= bytes;
}

Result<std::unique_ptr<Spool>> Spool::open(const std::string& path) {
  std::unique_ptr<Spool> spool(new Spool());
  spool->path_ = path;
  spool->fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (spool->fd_ < 0) return fail(errno_error("open spool " + path, errno));
  TRY_IN("opening spool " + path, spool->find_end());
  return spool;
}

Spool::~Spool() {
  if (fd_ >= 0) ::close(fd_);
}

Result<void> Spool::find_end() {
  struct stat status{};
  if (::fstat(fd_, &status) != 0) return fail(errno_error("stat", errno));
  const auto size = static_cast<uint64_t>(status.st_size);
  FileHeader header{};
  if (!read_exactly(fd_, &header, sizeof header, 0) || header.magic != kMagic ||
      header.read_at < sizeof header || header.read_at > size) {
    return truncate(0);
  }
  read_at_ = header.read_at;
  end_ = read_at_;
  // Whole frames count; what a crash left half-written was never acknowledged.
  for (FrameHeader frame{}; read_exactly(fd_, &frame, sizeof frame, end_);) {
    const uint64_t next = end_ + sizeof frame + frame.size;
    if (frame.size > kSpoolFrameBytesMax || next > size) break;
    end_ = next;
  }
  return read_at_ == end_ ? truncate(0) : Result<void>{};
}

Result<void> Spool::truncate(uint64_t size) {
  FileHeader header{kMagic, sizeof(FileHeader)};
  if (::ftruncate(fd_, static_cast<off_t>(size)) != 0 || !write_exactly(fd_, as_bytes(header), 0)) {
    return fail(errno_error("empty the spool", errno));
  }
  read_at_ = end_ = sizeof header;
  return {};
}

Result<void> Spool::append(std::string_view frame) {
  CHECK(frame.size() <= kSpoolFrameBytesMax);
  const FrameHeader header{static_cast<uint32_t>(frame.size()), crc32c(frame)};
  std::string bytes(as_bytes(header));
  bytes += frame;
  if (!write_exactly(fd_, bytes, end_) || ::fdatasync(fd_) != 0) {
    const int reason = errno;
    // After a failed flush nobody knows what is on the disk: the frame does not count.
    (void)!::ftruncate(fd_, static_cast<off_t>(end_));
    return fail(Code::unavailable, errno_error("append to spool " + path_, reason).message);
  }
  end_ += bytes.size();
  return {};
}

Result<std::string> Spool::read() const {
  CHECK(!empty());
  FrameHeader header{};
  if (!read_exactly(fd_, &header, sizeof header, read_at_) || header.size > kSpoolFrameBytesMax) {
    return fail(Code::corrupt, "spool " + path_ + " has no whole frame where one was written");
  }
  std::string frame(header.size, '\0');
  if (!read_exactly(fd_, frame.data(), frame.size(), read_at_ + sizeof header) ||
      crc32c(frame) != header.crc) {
    return fail(Code::corrupt, "spool " + path_ + " has a frame that is not what was written");
  }
  frame_size_ = sizeof header + header.size;
  return frame;
}

Result<void> Spool::pop() {
  CHECK(frame_size_ > 0);
  read_at_ += frame_size_;
  frame_size_ = 0;
  if (empty()) return truncate(0);
  // Not flushed: after a crash a frame may be delivered again, which its receivers expect.
  if (!write_exactly(fd_, as_bytes(read_at_), offsetof(FileHeader, read_at))) {
    return fail(errno_error("note the spool's progress", errno));
  }
  return {};
}

Result<uint64_t> Spool::skip_all() {
  const uint64_t lost = size_bytes();
  TRY(truncate(0));
  return lost;
}

void Spool::remove() { (void)::unlink(path_.c_str()); }

}  // namespace nimbus::agent
