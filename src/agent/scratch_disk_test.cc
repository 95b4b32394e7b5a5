#include "agent/scratch_disk.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace nimbus;
using namespace nimbus::agent;

TEST_CASE("a scratch disk is a sparse file system, copied from a template made once") {
  if (::access("/sbin/mke2fs", X_OK) != 0) {
    MESSAGE("skipped: mke2fs is not installed");
    return;
  }
  char name[] = "/tmp/nimbus-scratch-test-XXXXXX";
  const std::string folder = ::mkdtemp(name);
  for (const char* disk : {"/one", "/two"}) {
    REQUIRE(make_scratch_disk(folder, 64, folder + disk));
    struct stat status{};
    REQUIRE_EQ(::stat((folder + disk).c_str(), &status), 0);
    CHECK_EQ(status.st_size, off_t{64} << 20);
    CHECK_LT(status.st_blocks * 512, off_t{8} << 20);
    std::ifstream file(folder + disk, std::ios::binary);
    file.seekg(1024 + 56);  // the superblock's magic
    CHECK_EQ(file.get(), 0x53);
    CHECK_EQ(file.get(), 0xef);
  }
  std::filesystem::remove_all(folder);
}
