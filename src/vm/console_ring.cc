#include "vm/console_ring.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "os/unique_fd.h"
#include "vm/machine.h"

namespace nimbus::vm {

namespace {
constexpr std::array<char, 8> kMagic = {'N', 'B', 'C', 'O', 'N', 'S', '0', '1'};
}

struct ConsoleRing::Layout {
  std::array<char, 8> magic;
  uint64_t written;  // since the beginning; the next byte goes to written % size
  std::array<char, 4080> unused;
  std::array<char, kConsoleBytesMax> bytes;
};

Result<ConsoleRing> ConsoleRing::open(const std::string& path) {
  const std::string what = "opening console ring " + path;
  const os::UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return fail(errno_error(what, errno));
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) return fail(errno_error(what, errno));
  const bool fresh = status.st_size == 0;
  if (!fresh && status.st_size != static_cast<off_t>(sizeof(Layout)))
    return fail(Code::corrupt, what + ": not a console ring");
  if (fresh) {
    const int error = ::posix_fallocate(fd.get(), 0, sizeof(Layout));
    if (error != 0) return fail(errno_error(what, error));
  }
  void* memory = ::mmap(nullptr, sizeof(Layout), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) return fail(errno_error(what, errno));
  ConsoleRing ring(static_cast<Layout*>(memory));
  if (fresh) ring.layout_->magic = kMagic;
  if (ring.layout_->magic != kMagic) return fail(Code::corrupt, what + ": not a console ring");
  return ring;
}

ConsoleRing::ConsoleRing(ConsoleRing&& other) noexcept
    : layout_(std::exchange(other.layout_, nullptr)) {}

ConsoleRing::~ConsoleRing() {
  if (layout_ != nullptr) ::munmap(layout_, sizeof(Layout));
}

void ConsoleRing::append(std::string_view bytes) {
  auto& ring = *layout_;
  ring.written += bytes.size() - std::min(bytes.size(), ring.bytes.size());
  bytes.remove_prefix(bytes.size() - std::min(bytes.size(), ring.bytes.size()));
  while (!bytes.empty()) {
    const size_t at = ring.written % ring.bytes.size();
    const size_t size = std::min(bytes.size(), ring.bytes.size() - at);
    std::memcpy(ring.bytes.data() + at, bytes.data(), size);
    ring.written += size;
    bytes.remove_prefix(size);
  }
}

std::string ConsoleRing::tail(size_t bytes_max) const {
  const auto& ring = *layout_;
  const uint64_t kept = std::min<uint64_t>({ring.written, ring.bytes.size(), bytes_max});
  std::string text(kept, '\0');
  for (uint64_t done = 0; done < kept;) {
    const size_t at = (ring.written - kept + done) % ring.bytes.size();
    const size_t size = std::min<uint64_t>(kept - done, ring.bytes.size() - at);
    std::memcpy(text.data() + done, ring.bytes.data() + at, size);
    done += size;
  }
  return text;
}

}  // namespace nimbus::vm
