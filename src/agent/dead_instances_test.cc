#include "agent/dead_instances.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/log.h"
#include "os/cgroup.h"

using namespace nimbus;
using namespace nimbus::agent;

namespace {

// A group as an agent leaves it, under a name of this process's own, and its run directory.
struct Leftover {
  std::string root;
  std::string name;

  Leftover() {
    configure_log(LogLevel::error, LogFormat::text);
    char pattern[] = "/tmp/nimbus-instances-XXXXXX";
    root = ::mkdtemp(pattern);
    name = "nimbus-";
    for (int i = 0, pid = ::getpid(); i < 6; ++i, pid /= 26)
      name += static_cast<char>('a' + pid % 26);
    std::filesystem::create_directories(root + "/" + name);
  }
  ~Leftover() {
    for (const std::string& group : {name + "/slot-0", name}) {
      if (auto opened = os::Cgroup::open(group)) (void)opened->remove();
    }
    std::filesystem::remove_all(root);
  }
  // False where the machine has none to give.
  bool make() const {
    const auto support = os::Cgroup::find_support();
    if (::geteuid() != 0 || support.kind == os::CgroupKind::unavailable) {
      std::fprintf(stderr, "skipped: cgroups need root and a hierarchy\n");
      return false;
    }
    return os::Cgroup::create(name + "/slot-0", {}).has_value();
  }
  std::string directory() const { return root + "/" + name; }
  void die() const { std::ofstream(directory() + "/lock") << "1\n"; }
  bool is_there() const { return os::Cgroup::open(name).has_value(); }
};

}  // namespace

TEST_CASE("the empty cgroup of an agent that was killed is removed") {
  const Leftover left;
  if (!left.make()) return;
  left.die();
  remove_dead_instances("zzzzzz", left.root);
  CHECK_FALSE(left.is_there());
  CHECK_FALSE(std::filesystem::exists(left.directory()));
}

TEST_CASE("the run directory of an agent that was killed is removed, and nothing it links to") {
  const Leftover left;
  if (!left.make()) return;
  REQUIRE(os::Cgroup::open(left.name + "/slot-0")->remove());
  REQUIRE(os::Cgroup::open(left.name)->remove());
  std::filesystem::create_directories(left.directory() + "/slot-0");
  std::ofstream(left.root + "/kept") << "x";
  std::filesystem::create_symlink(left.root + "/kept", left.directory() + "/slot-0/link");
  const std::string other = left.root + "/elsewhere";
  std::filesystem::create_directories(other + "/x");
  std::ofstream(other + "/lock") << "1";
  std::filesystem::create_directory_symlink(other, left.root + "/nimbus-linked");
  left.die();
  remove_dead_instances("zzzzzz", left.root);
  CHECK_FALSE(std::filesystem::exists(left.directory()));
  CHECK(std::filesystem::exists(left.root + "/kept"));
  CHECK(std::filesystem::exists(left.root + "/nimbus-linked/x"));
}

TEST_CASE("the cgroup of an agent that lives, of this one and of an unknown one stay") {
  const Leftover left;
  if (!left.make()) return;
  remove_dead_instances("zzzzzz", left.root);
  CHECK(left.is_there());  // no lock file: nobody knows
  {
    const auto held = hold_instance(left.directory());
    REQUIRE(held);
    remove_dead_instances("zzzzzz", left.root);
    CHECK(left.is_there());
    CHECK(std::filesystem::exists(left.directory()));
  }
  remove_dead_instances(left.name.substr(7), left.root);
  CHECK(left.is_there());
}

TEST_CASE("a dead agent's cgroup with a process in it stays") {
  const Leftover left;
  if (!left.make()) return;
  left.die();
  const pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  auto slot = os::Cgroup::open(left.name + "/slot-0");
  REQUIRE(slot);
  REQUIRE(slot->attach(child));
  remove_dead_instances("zzzzzz", left.root);
  CHECK(left.is_there());
  CHECK(std::filesystem::exists(left.directory()));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}
