#include "vm/kernel_image.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <lz4.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "base/encoding.h"
#include "base/hash.h"
#include "os/atomic_file.h"
#include "os/unique_fd.h"

namespace nimbus::vm {

namespace {

// Offsets of the boot protocol's setup header (Documentation/arch/x86/boot.rst).
constexpr size_t kSetupSectors = 0x1f1;
constexpr size_t kHeaderMagic = 0x202;
constexpr size_t kProtocolVersion = 0x206;
constexpr size_t kPayloadOffset = 0x248;
constexpr size_t kPayloadLength = 0x24c;
constexpr size_t kHeaderEnd = 0x250;
constexpr uint32_t kProtocolWithPayload = 0x0208;

// The LZ4 legacy frame: a magic number, then blocks of {compressed size, bytes}, each of 8 MiB
// unpacked, the last one less. The kernel's build appends the whole's unpacked size.
constexpr uint32_t kLegacyMagic = 0x184c2102;
constexpr size_t kBlockBytes = size_t{8} << 20;

constexpr std::string_view kElfMagic(
    "\x7f"
    "ELF",
    4);

uint32_t read_u32(std::string_view bytes, size_t offset) {
  uint32_t value = 0;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;  // bzImages exist for x86 only: little endian, as this program
}

Result<std::string_view> find_payload(std::string_view image) {
  if (image.size() < kHeaderEnd || image.substr(kHeaderMagic, 4) != "HdrS")
    return fail(Code::bad_request, "not a bzImage");
  if ((read_u32(image, kProtocolVersion) & 0xffff) < kProtocolWithPayload)
    return fail(Code::bad_request, "the bzImage's boot protocol is older than 2.08");
  size_t sectors = static_cast<unsigned char>(image[kSetupSectors]);
  if (sectors == 0) sectors = 4;
  const size_t start = (sectors + 1) * 512 + read_u32(image, kPayloadOffset);
  const size_t length = read_u32(image, kPayloadLength);
  if (start > image.size() || length > image.size() - start || length < 8)
    return fail(Code::bad_request, "the bzImage is cut short");
  return image.substr(start, length);
}

Result<std::string> unpack_lz4(std::string_view payload) {
  const size_t promised = read_u32(payload, payload.size() - 4);
  payload.remove_suffix(4);
  if (promised > kKernelBytesMax)
    return fail(Code::bad_request, fmt::format("the kernel is over {} bytes", kKernelBytesMax));
  std::string kernel(promised, '\0');
  size_t filled = 0;
  for (payload.remove_prefix(4); payload.size() >= 4;) {
    const size_t size = read_u32(payload, 0);
    payload.remove_prefix(4);
    if (size == kLegacyMagic) continue;  // frames may follow each other
    const size_t room = std::min(kBlockBytes, kernel.size() - filled);
    if (size > payload.size()) return fail(Code::bad_request, "the kernel's payload is cut short");
    const int got = LZ4_decompress_safe(payload.data(), kernel.data() + filled,
                                        static_cast<int>(size), static_cast<int>(room));
    if (got <= 0) return fail(Code::bad_request, "the kernel's payload is damaged");
    filled += static_cast<size_t>(got);
    payload.remove_prefix(size);
  }
  if (filled != promised) return fail(Code::bad_request, "the kernel's payload is cut short");
  return kernel;
}

Result<bool> is_elf(const std::string& path) {
  const os::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char start[4];
  if (!fd || ::read(fd.get(), start, sizeof start) < 0)
    return fail(errno_error("reading " + path, errno));
  return std::string_view(start, sizeof start) == kElfMagic;
}

}  // namespace

Result<std::string> unpack_bzimage(std::string_view image) {
  const auto payload = TRY(find_payload(image));
  if (read_u32(payload, 0) != kLegacyMagic)
    return fail(Code::bad_request, "the kernel is not compressed with LZ4",
                "use Debian's cloud kernel, or give an uncompressed vmlinux");
  auto kernel = TRY(unpack_lz4(payload));
  if (kernel.substr(0, 4) != kElfMagic)
    return fail(Code::bad_request, "the bzImage's payload is not an ELF kernel");
  return kernel;
}

Result<std::string> file_identity(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) {
    Error error = errno_error("looking at " + path, errno);
    if (errno == ENOENT) error.code = Code::not_found;
    return fail(std::move(error));
  }
  return fmt::format("{}:{}:{}.{:09}", path, status.st_size, status.st_mtim.tv_sec,
                     status.st_mtim.tv_nsec);
}

Result<std::string> prepare_kernel(const std::string& kernel, const std::string& cache_directory) {
  const std::string what = "preparing kernel " + kernel;
  const auto identity = TRY_IN(what, file_identity(kernel));
  if (TRY_IN(what, is_elf(kernel))) return kernel;
  const auto cached =
      fmt::format("{}/vmlinux-{}", cache_directory, to_hex(sha256(identity)).substr(0, 16));
  if (file_identity(cached)) return cached;
  const auto image = TRY_IN(what, os::read_file(kernel, kKernelBytesMax));
  const auto unpacked = TRY_IN(what, unpack_bzimage(image));
  TRY_IN(what, os::make_directories(cache_directory));
  TRY_IN(what, os::write_file_atomically(cached, unpacked));
  return cached;
}

}  // namespace nimbus::vm
