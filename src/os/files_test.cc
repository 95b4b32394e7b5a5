#include <doctest/doctest.h>
#include <sys/stat.h>

#include "os/atomic_file.h"
#include "os/lock_file.h"
#include "os/test_support.h"

using namespace nimbus;
using namespace nimbus::os;

TEST_CASE("a file is replaced whole, with the mode asked for and no temporary left") {
  const TemporaryDirectory directory;
  const auto path = directory.file("state");
  REQUIRE(write_file_atomically(path, "old", 0644));
  REQUIRE(write_file_atomically(path, std::string(100'000, 'x'), 0600));
  CHECK(read_file(path, 200'000)->size() == 100'000);
  struct stat status{};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  REQUIRE(::stat(directory.path().c_str(), &status) == 0);
  CHECK(::unlink(path.c_str()) == 0);
  CHECK(::rmdir(directory.path().c_str()) == 0);  // nothing else was in it
}

TEST_CASE("a write that fails leaves the old content") {
  const TemporaryDirectory directory;
  CHECK(write_file_atomically(directory.file("no/such/file"), "x").error().code == Code::not_found);
  REQUIRE(make_directories(directory.file("taken")));
  CHECK_FALSE(write_file_atomically(directory.file("taken"), "x"));
  CHECK(make_directories(directory.file("taken")));
}

TEST_CASE("reading is bounded, and an absent file is not found") {
  const TemporaryDirectory directory;
  REQUIRE(write_file_atomically(directory.file("big"), "0123456789"));
  CHECK(read_file(directory.file("big"), 10).value() == "0123456789");
  CHECK(read_file(directory.file("big"), 9).error().code == Code::too_large);
  CHECK(read_file(directory.file("none"), 9).error().code == Code::not_found);
}

TEST_CASE("removing a tree does not follow its links") {
  const TemporaryDirectory directory;
  REQUIRE(make_directories(directory.file("tree/a/b")));
  REQUIRE(write_file_atomically(directory.file("kept"), "kept"));
  REQUIRE(write_file_atomically(directory.file("tree/a/b/file"), "gone"));
  REQUIRE(::symlink("../kept", directory.file("tree/link").c_str()) == 0);
  REQUIRE(::symlink("..", directory.file("tree/up").c_str()) == 0);
  CHECK(remove_tree(directory.file("tree")));
  CHECK(remove_tree(directory.file("tree")));  // absent is done
  CHECK(read_file(directory.file("kept"), 10).value() == "kept");
  CHECK(read_file(directory.file("tree/a/b/file"), 10).error().code == Code::not_found);
  CHECK(remove_tree(directory.file("..")).error().code == Code::bad_request);
}

TEST_CASE("a directory cannot be made where a file is") {
  const TemporaryDirectory directory;
  REQUIRE(write_file_atomically(directory.file("file"), ""));
  CHECK_FALSE(make_directories(directory.file("file")));
  CHECK_FALSE(make_directories(directory.file("file/below")));
}

TEST_CASE("a lock has one holder, whose pid the refusal names") {
  const TemporaryDirectory directory;
  {
    const auto first = LockFile::acquire(directory.file("lock"));
    REQUIRE(first);
    const auto second = LockFile::acquire(directory.file("lock"));
    REQUIRE_FALSE(second);
    CHECK(second.error().code == Code::conflict);
    CHECK(second.error().message.find(std::to_string(::getpid())) != std::string::npos);
  }
  CHECK(LockFile::acquire(directory.file("lock")));
}
