#include "cli/data_directory.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cli/config.h"

using namespace nimbus;
using namespace nimbus::cli;

namespace {

struct Folder {
  std::string path;
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "nimbus-data-XXXXXX").string();
    path = mkdtemp(pattern.data());
  }
  ~Folder() { std::filesystem::remove_all(path); }
};

mode_t mode_of(const std::string& path) {
  struct stat status{};
  REQUIRE(stat(path.c_str(), &status) == 0);
  return status.st_mode & 0777;
}

}  // namespace

TEST_CASE("an empty data directory is filled, its secrets readable by the owner alone") {
  const Folder folder;
  const auto directory = DataDirectory::open(folder.path + "/data", system_random());
  REQUIRE(directory.has_value());
  CHECK(directory->is_new());
  for (const char* name : {"admin.token", "webhook.secret", "job-token.key"}) {
    CHECK(mode_of(directory->file(name)) == 0600);
  }
  CHECK(load_config(directory->file("nimbus.toml"), [](const std::string&) {
          return nullptr;
        }).has_value());
}

TEST_CASE("what Nimbus made in a directory is closed to others; what it did not make stays") {
  const Folder folder;
  REQUIRE(chmod(folder.path.c_str(), 0755) == 0);
  for (const char* name : {"nimbus.db", "nimbus.db-wal", "nimbus.db-shm", "nimbus.toml"}) {
    std::ofstream(folder.path + "/" + name) << "";
    REQUIRE(chmod((folder.path + "/" + name).c_str(), 0644) == 0);
  }
  std::filesystem::create_directory(folder.path + "/blobs");
  REQUIRE(chmod((folder.path + "/blobs").c_str(), 0755) == 0);
  REQUIRE(DataDirectory::open(folder.path, system_random()).has_value());
  for (const char* name : {"nimbus.db", "nimbus.db-wal", "nimbus.db-shm"}) {
    CHECK(mode_of(folder.path + "/" + name) == 0600);
  }
  CHECK(mode_of(folder.path + "/blobs") == 0700);
  CHECK(mode_of(folder.path + "/nimbus.toml") == 0644);
  CHECK(mode_of(folder.path) == 0755);
}

TEST_CASE("a data directory opened again has the same secrets") {
  const Folder folder;
  std::string first;
  {
    const auto directory = DataDirectory::open(folder.path, system_random());
    REQUIRE(directory.has_value());
    first = directory->admin_token().reveal();
  }
  const auto again = DataDirectory::open(folder.path, system_random());
  REQUIRE(again.has_value());
  CHECK_FALSE(again->is_new());
  CHECK(again->admin_token().reveal() == first);
}

TEST_CASE("a data directory in use is refused with the pid that has it") {
  const Folder folder;
  const auto first = DataDirectory::open(folder.path, system_random());
  REQUIRE(first.has_value());
  const auto second = DataDirectory::open(folder.path, system_random());
  REQUIRE_FALSE(second.has_value());
  CHECK(second.error().code == Code::conflict);
  CHECK(second.error().message.find(std::to_string(getpid())) != std::string::npos);
}

TEST_CASE("an empty secret file is refused rather than used as an empty secret") {
  const Folder folder;
  std::ofstream(folder.path + "/webhook.secret").flush();
  const auto directory = DataDirectory::open(folder.path, system_random());
  REQUIRE_FALSE(directory.has_value());
  CHECK(directory.error().message.find("webhook.secret") != std::string::npos);
}
