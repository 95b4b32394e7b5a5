#include "agent/spool.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace nimbus;
using namespace nimbus::agent;

namespace {

struct Folder {
  std::string path;
  Folder() {
    char name[] = "/tmp/nimbus-spool-test-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string file() const { return path + "/one.spool"; }
};

std::unique_ptr<Spool> open(const Folder& folder) {
  auto spool = Spool::open(folder.file());
  REQUIRE(spool);
  return std::move(*spool);
}

void flip_byte(const std::string& path, std::streamoff at) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(at);
  const char byte = static_cast<char>(file.get());
  file.seekp(at);
  file.put(static_cast<char>(byte ^ 1));
}

}  // namespace

TEST_CASE("frames come back in order, across a reopening, and leave nothing") {
  const Folder folder;
  {
    auto spool = open(folder);
    for (const char* frame : {"one", "", "three"}) REQUIRE(spool->append(frame));
    CHECK_EQ(spool->read().value(), "one");
    REQUIRE(spool->pop());
  }
  auto spool = open(folder);
  CHECK_EQ(spool->read().value(), "");
  REQUIRE(spool->pop());
  CHECK_EQ(spool->read().value(), "three");
  REQUIRE(spool->pop());
  CHECK(spool->empty());
  CHECK_EQ(spool->size_bytes(), 0);
  REQUIRE(spool->append("four"));
  CHECK_EQ(spool->read().value(), "four");
}

TEST_CASE("a frame that a crash cut short never was") {
  const Folder folder;
  {
    auto spool = open(folder);
    REQUIRE(spool->append("whole"));
    REQUIRE(spool->append("cut short"));
  }
  std::filesystem::resize_file(folder.file(), std::filesystem::file_size(folder.file()) - 1);
  auto spool = open(folder);
  CHECK_EQ(spool->read().value(), "whole");
  REQUIRE(spool->pop());
  CHECK(spool->empty());
}

TEST_CASE("a frame whose bytes have changed is corrupt, never served") {
  const Folder folder;
  {
    auto spool = open(folder);
    REQUIRE(spool->append("precious"));
  }
  flip_byte(folder.file(),
            static_cast<std::streamoff>(std::filesystem::file_size(folder.file())) - 3);
  auto spool = open(folder);
  const auto frame = spool->read();
  REQUIRE_FALSE(frame);
  CHECK(frame.error().code == Code::corrupt);
  CHECK_GT(spool->skip_all().value(), 0);
  CHECK(spool->empty());
}

TEST_CASE("a file that is no spool is begun anew") {
  const Folder folder;
  std::ofstream(folder.file()) << "something else entirely, and long enough for a header";
  auto spool = open(folder);
  CHECK(spool->empty());
  REQUIRE(spool->append("fresh"));
  CHECK_EQ(spool->read().value(), "fresh");
}

TEST_CASE("one org cannot take the other's room in the budget") {
  SpoolBudget budget(1000);
  CHECK(budget.take("acme", 500));
  CHECK_FALSE(budget.take("acme", 1));
  CHECK(budget.take("other", 400));
  CHECK_FALSE(budget.take("third", 101));
  budget.give_back("acme", 500);
  CHECK(budget.take("third", 101));
  CHECK_EQ(budget.used(), 501);
}
