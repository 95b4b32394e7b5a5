#include "os/cgroup.h"

#include <doctest/doctest.h>
#include <fmt/core.h>
#include <signal.h>

#include "os/process.h"
#include "os/test_support.h"

using namespace nimbus;
using namespace nimbus::os;

namespace {

constexpr Duration kPatience = std::chrono::seconds(20);

// A group of this test's own, gone with it; skipped where the machine has none to give.
class GroupFixture {
 public:
  bool usable() const {
    if (!is_root("cgroups need root")) return false;
    const auto support = Cgroup::find_support();
    if (support.kind != CgroupKind::unavailable) return true;
    fmt::print(stderr, "skipped: {}\n", support.detail);
    return false;
  }
  std::string name(const std::string& child = "group") const { return parent_ + "/" + child; }
  const std::string& parent() const { return parent_; }
  ~GroupFixture() {
    if (const auto children = Cgroup::list(parent_))
      for (const auto& child : *children)
        if (auto group = Cgroup::open(name(child))) (void)group->remove();
    if (auto group = Cgroup::open(parent_)) (void)group->remove();
  }

 private:
  std::string parent_ = fmt::format("nimbus-test-{}", ::getpid());
};

Process run_in(const Cgroup& group, const std::string& script) {
  SpawnOptions options;
  options.argv = {"/bin/sh", "-c", script};
  options.environment = {"PATH=/usr/bin:/bin"};
  options.cgroup_procs = group.procs_files();
  auto process = Process::spawn(options);
  REQUIRE_MESSAGE(process, process.error().message);
  return std::move(*process);
}

}  // namespace

TEST_CASE_FIXTURE(GroupFixture, "a process starts inside its group, and the group dies whole") {
  if (!usable()) return;
  auto group = Cgroup::create(name(), {});
  REQUIRE_MESSAGE(group, group.error().message);
  auto process = run_in(*group, "sleep 1000 & sleep 1000 & wait");
  CHECK(wait_until([&] { return group->processes()->size() == 3; }));
  CHECK(group->remove().error().code == Code::conflict);
  REQUIRE(group->kill());
  CHECK(process.wait_exit_blocking(kPatience)->signal == SIGKILL);
  CHECK(wait_until([&] { return group->remove().has_value(); }));
  CHECK(group->remove());  // absent is done
  CHECK(Cgroup::open(name()).error().code == Code::not_found);
}

TEST_CASE_FIXTURE(GroupFixture,
                  "a group that takes more memory than its limit is killed and counted") {
  if (!usable()) return;
  CgroupLimits limits;
  limits.memory_bytes_max = 16 << 20;
  auto group = Cgroup::create(name(), limits);
  REQUIRE_MESSAGE(group, group.error().message);
  auto process = run_in(*group, "exec dd if=/dev/zero of=/dev/null bs=200M count=1");
  CHECK(process.wait_exit_blocking(kPatience)->signal == SIGKILL);
  CHECK(group->stats()->oom_kills >= 1);
  CHECK(group->stats()->memory_bytes <= 16 << 20);
}

TEST_CASE_FIXTURE(GroupFixture, "a group cannot hold more processes than its limit") {
  if (!usable()) return;
  CgroupLimits limits;
  limits.pids_max = 1;
  limits.cpus = 0.5;
  auto group = Cgroup::create(name(), limits);
  REQUIRE_MESSAGE(group, group.error().message);
  auto process = run_in(*group, "/bin/true; exit 0");  // the shell is one; a child is too many
  const auto exit = process.wait_exit_blocking(kPatience);
  REQUIRE(exit);
  CHECK(exit->code.value_or(0) != 0);
}

TEST_CASE_FIXTURE(GroupFixture, "leftover groups are found below their parent and taken over") {
  if (!usable()) return;
  REQUIRE(Cgroup::create(name("slot-0"), {}));
  REQUIRE(Cgroup::create(name("slot-1"), {}));
  CHECK(Cgroup::list(parent()).value() == std::vector<std::string>{"slot-0", "slot-1"});
  CgroupLimits limits;
  limits.memory_bytes_max = 64 << 20;
  CHECK(Cgroup::create(name("slot-0"), limits));
  CHECK(Cgroup::list("nimbus-no-such-parent")->empty());
}

TEST_CASE("a name cannot leave the hierarchy") {
  for (const auto* bad : {"", "/", "..", "a/../b", "a//b", "a/.hidden", "a b"})
    CHECK(Cgroup::create(bad, {}).error().code == Code::bad_request);
}
