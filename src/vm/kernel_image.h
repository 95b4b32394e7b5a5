// A kernel as QEMU boots it fastest: an uncompressed ELF. Distributions ship a bzImage, which
// carries that ELF compressed; it is unpacked once and kept.
//
// Threads: any; calls block (a third of a second the first time).
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace nimbus::vm {

constexpr size_t kKernelBytesMax = size_t{512} << 20;

// The ELF inside a bzImage with an LZ4 payload. bad_request: not a bzImage, another compression, or
// damaged.
Result<std::string> unpack_bzimage(std::string_view image);

// The path of a bootable ELF for `kernel`: itself when it is one, else a file in `cache_directory`
// named after its identity. not_found: there is no such kernel.
Result<std::string> prepare_kernel(const std::string& kernel, const std::string& cache_directory);

// A file's name, size and time of change: changes when the file does.
Result<std::string> file_identity(const std::string& path);

}  // namespace nimbus::vm
