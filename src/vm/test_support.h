// What the tests of this folder share: a loop that runs one Task to its end, and an initramfs with
// the test guest in it.
#pragma once

#include <fmt/core.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "net/loop.h"
#include "os/atomic_file.h"
#include "os/test_support.h"

namespace nimbus::vm {

template <typename T>
T run_on(net::Loop& loop, Task<T> task) {
  std::optional<T> result;
  const auto wait = [](Task<T> awaited, std::optional<T>& out, net::Loop& owner) -> Task<void> {
    out.emplace(co_await std::move(awaited));
    owner.stop();
  };
  loop.spawn(wait(std::move(task), result, loop), "test");
  loop.run();
  return std::move(*result);
}

// True once the condition holds; false after 60 s, long after which a guest is lost.
inline Task<bool> becomes(net::Loop& loop, std::function<bool()> condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) co_return false;
    co_await loop.sleep(std::chrono::milliseconds(5));
  }
  co_return true;
}

// A newc archive (Documentation/driver-api/early-userspace/buffer-format.rst), uncompressed.
class Initramfs {
 public:
  void add(const std::string& name, const std::string& bytes, unsigned mode) {
    const auto header = fmt::format(
        "070701{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}",
        ++inode_, mode, 0, 0, 1, 0, bytes.size(), 0, 0, 0, 0, name.size() + 1, 0);
    archive_ += header + name + '\0';
    pad();
    archive_ += bytes;
    pad();
  }
  std::string finish() {
    add("TRAILER!!!", "", 0);
    return archive_;
  }

 private:
  void pad() { archive_.resize((archive_.size() + 3) / 4 * 4); }
  std::string archive_;
  unsigned inode_ = 0;
};

// Where scripts/fetch-guest-kernel puts its results.
inline std::string guest_file(const std::string& name) {
  return std::string(NIMBUS_GUEST_DIRECTORY) + "/" + name;
}

inline bool has_guest_kernel() {
  if (::access(guest_file("vmlinuz").c_str(), R_OK) == 0) return true;
  fmt::print(stderr, "skipped: {} is missing; run scripts/fetch-guest-kernel\n",
             guest_file("vmlinuz"));
  return false;
}

// The test guest, and with `modules` what it needs to see disks and network.
inline std::string make_initramfs(bool modules) {
  constexpr unsigned kDirectory = 040755, kProgram = 0100755, kFile = 0100644;
  constexpr size_t kBytesMax = 16 << 20;
  Initramfs archive;
  archive.add("dev", "", kDirectory);
  archive.add("init", os::read_file(NIMBUS_TEST_GUEST, kBytesMax).value(), kProgram);
  if (modules) {
    archive.add("modules", "", kDirectory);
    std::string list;
    for (const auto* name : {"virtio_ring.ko", "virtio.ko", "virtio_mmio.ko", "virtio_blk.ko",
                             "failover.ko", "net_failover.ko", "virtio_net.ko"}) {
      archive.add(std::string("modules/") + name,
                  os::read_file(guest_file(std::string("modules/") + name), kBytesMax).value(),
                  kFile);
      list += std::string(name) + "\n";
    }
    archive.add("modules.list", list, kFile);
  }
  return archive.finish();
}

}  // namespace nimbus::vm
