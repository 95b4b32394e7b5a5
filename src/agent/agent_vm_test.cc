// One job in a real microVM: kernel, initramfs, nimbus-guest, namespace, gateway, agent. Skipped,
// with the reason, where a part of that is missing.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "agent/agent.h"
#include "agent/fake_control.h"
#include "base/log.h"
#include "os/atomic_file.h"
#include "os/process.h"
#include "vm/qemu.h"

using namespace nimbus;
using namespace nimbus::agent;
namespace fs = std::filesystem;

namespace {

constexpr Duration kPatience = std::chrono::seconds(90);

std::string missing_part() {
  if (::geteuid() != 0) return "needs root for network namespaces";
  for (const char* file : {NIMBUS_KERNEL_DIRECTORY "/vmlinuz", NIMBUS_GUEST_PROGRAM,
                           "/usr/bin/qemu-system-x86_64", "/usr/bin/mksquashfs", "/bin/dash"}) {
    if (::access(file, F_OK) != 0) return std::string(file) + " is not there";
  }
  return "";
}

bool run(std::vector<std::string> argv) {
  os::SpawnOptions options;
  options.argv = std::move(argv);
  options.environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  auto process = os::Process::spawn(options);
  if (!process) return false;
  const auto exit = process->wait_exit_blocking(std::chrono::seconds(60));
  return exit && exit->code == 0;
}

// The smallest image that can run a shell script: this machine's own dash and C library.
void make_image(const std::string& directory) {
  const std::string tree = directory + "/tree";
  for (const char* folder : {"/bin", "/lib64", "/lib/x86_64-linux-gnu", "/etc", "/home/runner"}) {
    fs::create_directories(tree + folder);
  }
  fs::copy_file("/bin/dash", tree + "/bin/sh");
  for (const char* library : {"/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6"}) {
    fs::copy_file(fs::canonical(library), tree + library);
  }
  REQUIRE(os::write_file_atomically(tree + "/etc/passwd",
                                    "runner:x:1000:1000::/home/runner:/bin/sh\n", 0644));
  REQUIRE(run({"/usr/bin/mksquashfs", tree, directory + "/image.squashfs", "-comp", "gzip",
               "-quiet", "-no-progress"}));
}

struct VmWorld {
  net::Loop loop;
  std::string directory;
  FakeControl control{loop};
  Metrics metrics;
  std::unique_ptr<vm::Driver> driver;
  std::unique_ptr<Places> places;
  std::unique_ptr<Agent> agent;
  std::optional<Result<void>> outcome;

  explicit VmWorld(int warm) {
    configure_log(LogLevel::error, LogFormat::text);
    char name[] = "/tmp/nimbus-vm-XXXXXX";
    directory = ::mkdtemp(name);
    make_image(directory);
    REQUIRE(run({"/bin/bash", NIMBUS_SOURCE_DIRECTORY "/scripts/build-initramfs",
                 NIMBUS_GUEST_PROGRAM, NIMBUS_KERNEL_DIRECTORY, directory + "/initramfs"}));
    HostPlacesOptions places_options;
    places_options.instance = instance_name(directory);
    places_options.directory = directory + "/agent";
    places_options.run_directory = directory + "/run";
    auto made = make_host_places(places_options);
    if (!made) std::cerr << made.error().message << "\n";
    REQUIRE(made);
    places = std::move(*made);
    vm::QemuOptions qemu;
    qemu.cache_directory = directory + "/vm-cache";
    qemu.accel = vm::Accel::tcg;
    driver = vm::make_qemu_driver(loop, qemu);
    AgentOptions options;
    options.server = control.url();
    options.enrollment_token = Secret("enrol-me");
    options.directory = directory + "/agent";
    options.slots = 1;
    options.warm = warm;
    options.warm_shape = {"nimbus/base", 1, 192, 256};
    options.kernel = NIMBUS_KERNEL_DIRECTORY "/vmlinuz";
    options.initramfs = directory + "/initramfs";
    AgentParts parts{loop, *driver, *places, system_clock(), system_random(), metrics};
    auto opened = Agent::open(parts, options, [this](const std::string&) -> Result<ImageRoot> {
      return ImageRoot{directory + "/image.squashfs", {}};
    });
    REQUIRE(opened);
    agent = std::move(*opened);
    loop.spawn(live(), "agent");
  }
  ~VmWorld() { fs::remove_all(directory); }
  Task<void> live() {
    outcome = co_await agent->run();
    if (!*outcome) std::cerr << outcome->error().message << "\n";
  }
  Task<void> until(std::function<bool()> condition, bool& met) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!(met = condition()) && std::chrono::steady_clock::now() < deadline) {
      co_await loop.sleep(std::chrono::milliseconds(2));
    }
    loop.stop();
  }
  bool wait_until(std::function<bool()> condition) {
    bool met = false;
    loop.spawn(until(std::move(condition), met), "wait");
    loop.run();
    return met;
  }
  FakeControl::Job& run_job(int64_t id, const std::string& script, int timeout_s = 60) {
    control.add_job(id, {{"command", boost::json::array{"/bin/sh", "-c", script}},
                         {"timeout_s", timeout_s},
                         {"resources",
                          boost::json::object{{"cpus", 1}, {"memory_mb", 192}, {"disk_mb", 256}}}});
    REQUIRE(wait_until([&] { return !control.jobs[id].last_result().empty(); }));
    return control.jobs[id];
  }
  void stop() {
    agent->stop(Duration(0));
    CHECK(wait_until([&] { return outcome.has_value(); }));
    CHECK(places->list().value().empty());
  }
};

}  // namespace

TEST_CASE("jobs run in real microVMs: log, exit code, timeout, isolation, nothing left") {
  if (const std::string missing = missing_part(); !missing.empty()) {
    MESSAGE("skipped: " << missing);
    return;
  }
  VmWorld world(1);
  REQUIRE(world.wait_until([&] { return world.agent->status().warm == 1 || world.outcome; }));
  REQUIRE_FALSE(world.outcome);

  const auto& first = world.run_job(1, "echo hello $NIMBUS_JOB_ID; echo mark > /tmp/mark; exit 7");
  CHECK_EQ(first.text("stdout"), "hello 1\n");
  CHECK_EQ(first.last_result(), "failed");
  CHECK_EQ(first.events.back().at("reason").as_string(), "exit code 7");
  const std::string greeting(first.lines.front().at("text").as_string());
  CHECK(greeting.starts_with("nimbus-guest "));
  CHECK_NE(greeting.find(" on Linux "), std::string::npos);

  // Another VM: what the first job wrote is not there.
  const auto& second =
      world.run_job(2, "test -e /tmp/mark && echo used VM; echo begin; while :; do :; done", 5);
  CHECK_EQ(second.text("stdout"), "begin\n");
  CHECK_EQ(second.last_result(), "timed_out");
  CHECK_EQ(second.events.back().at("reason").as_string(), "timed out after 5 s");
  world.stop();
}
