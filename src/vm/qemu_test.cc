// Boots real guests under emulation, a second or two each.
#include "vm/qemu.h"

#include <dirent.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "base/hash.h"
#include "os/cgroup.h"
#include "os/process.h"
#include "os/slot_network.h"
#include "vm/test_support.h"

using namespace nimbus;
using namespace nimbus::vm;

namespace {

constexpr size_t kSomeBytes = 64 << 10;

// A host with room for a few machines, all of one kernel.
class QemuFixture {
 public:
  QemuFixture() {
    if (!usable()) return;
    options_.cache_directory = NIMBUS_TEST_CACHE;  // the kernel is unpacked once for all tests
    driver_ = make_qemu_driver(loop, options_);
  }
  bool usable() const { return has_guest_kernel() && os::is_root("QEMU runs confined as root"); }

  MachineSpec spec(const std::string& name, const std::string& mode, bool modules = false) {
    MachineSpec spec;
    spec.name = name;
    spec.directory = directory.file(name);
    CHECK(os::make_directories(spec.directory));
    spec.kernel = guest_file("vmlinuz");
    spec.initramfs = directory.file(modules ? "modules.cpio" : "bare.cpio");
    if (::access(spec.initramfs.c_str(), R_OK) != 0)
      CHECK(os::write_file_atomically(spec.initramfs, make_initramfs(modules)));
    spec.kernel_arguments = "test=" + mode;
    spec.memory_mb = 128;
    spec.uid = spec.gid = 65533;
    return spec;
  }
  std::unique_ptr<Machine> boot(MachineSpec spec) {
    auto machine = run_on(loop, driver().boot(std::move(spec)));
    REQUIRE_MESSAGE(machine, machine.error().message);
    return std::move(*machine);
  }
  bool console_shows(Machine& machine, const std::string& text) {
    const bool shown =
        run_on(loop, becomes(loop, [&] {
                 return machine.console_tail(kConsoleBytesMax).find(text) != std::string::npos;
               }));
    if (!shown) MESSAGE(machine.console_tail(kSomeBytes));
    return shown;
  }
  Exit exit_of(Machine& machine) { return run_on(loop, machine.wait_exit()); }
  void destroy(Machine& machine) {
    const auto destroyed = run_on(loop, machine.destroy());
    CHECK_MESSAGE(destroyed, destroyed.error().message);
  }
  // Number of files and folders left in a machine's directory.
  size_t leftovers(const std::string& name) {
    size_t count = 0;
    DIR* listing = ::opendir(directory.file(name).c_str());
    REQUIRE(listing != nullptr);
    while (const dirent* entry = ::readdir(listing))
      if (entry->d_name[0] != '.') ++count;
    ::closedir(listing);
    return count;
  }
  Driver& driver() { return *driver_; }

  net::Loop loop;
  const os::TemporaryDirectory directory;

 private:
  QemuOptions options_;
  std::unique_ptr<Driver> driver_;
};

bool alive(const Machine& machine) {
  return os::is_alive(os::parse_process_identity(machine.identity().process).value());
}

// Answers one connection in the namespace with "welcome".
std::string serve_once(int listening) {
  const os::UniqueFd connection(::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC));
  char heard[64] = {};
  if (::read(connection.get(), heard, sizeof heard - 1) <= 0) return "nothing";
  (void)!::write(connection.get(), "welcome", 7);
  return heard;
}

}  // namespace

TEST_CASE_FIXTURE(QemuFixture,
                  "a guest sees its disks and its gateway, powers off, and leaves nothing") {
  if (!usable()) return;
  const auto capabilities = run_on(loop, driver().preflight(guest_file("vmlinuz")));
  REQUIRE_MESSAGE(capabilities, capabilities.error().message);
  CHECK(capabilities->vmm == "qemu");
  CHECK(capabilities->snapshots);

  os::SlotNetworkOptions network;
  network.instance = "vmtest";
  network.directory = directory.file("netns");
  network.egress = false;
  auto networks = os::SlotNetworks::open(network);
  REQUIRE_MESSAGE(networks, networks.error().message);
  const auto slot = networks->create(0);
  REQUIRE_MESSAGE(slot, slot.error().message);
  const auto listening = os::listen_tcp_in(slot->namespace_path, os::kGatewayAddress, 80);
  REQUIRE(listening);
  const int flags = ::fcntl(listening->get(), F_GETFL);
  ::fcntl(listening->get(), F_SETFL, flags & ~O_NONBLOCK);

  auto wanted = spec("full", "hello", true);
  wanted.disks = {{"image", directory.file("image"), true},
                  {"scratch", directory.file("scratch"), false}};
  CHECK(os::write_file_atomically(directory.file("image"), "image" + std::string(1 << 20, '\0')));
  CHECK(os::write_file_atomically(directory.file("scratch"), "empty" + std::string(1 << 20, '\0')));
  wanted.network =
      Network{slot->namespace_path, std::string(os::kTapName), std::string(os::kGuestMac)};
  std::optional<os::Cgroup> group;
  if (os::Cgroup::find_support().kind != os::CgroupKind::unavailable) {
    os::CgroupLimits limits;
    limits.memory_bytes_max = 512 << 20;
    group = os::Cgroup::create("nimbus-vmtest/full", limits).value();
    wanted.cgroup = group->name();
  }

  auto machine = boot(wanted);
  if (group) CHECK(group->processes()->size() >= 1);
  std::string heard;
  std::thread gateway([&] { heard = serve_once(listening->get()); });
  const auto exit = exit_of(*machine);
  gateway.join();
  const auto console = machine->console_tail(kSomeBytes);
  CHECK_MESSAGE(exit.kind == Exit::Kind::powered_off, exit.detail);
  CHECK_MESSAGE(console.find("disk image ro=1") != std::string::npos, console);
  CHECK(console.find("disk scratch ro=0 starts with empty, written") != std::string::npos);
  CHECK(console.find("gateway says welcome") != std::string::npos);
  CHECK(heard == "hello\n");
  CHECK(os::read_file(directory.file("scratch"), 2 << 20)->substr(0, 5) == "guest");
  CHECK(os::read_file(directory.file("image"), 2 << 20)->substr(0, 5) == "image");

  destroy(*machine);
  destroy(*machine);  // again: done already
  CHECK_FALSE(alive(*machine));
  CHECK(leftovers("full") == 0);
  CHECK(machine->console_tail(kSomeBytes) == console);
  if (group) {
    CHECK(os::wait_until([&] { return group->remove().has_value(); }));
    CHECK(os::Cgroup::open("nimbus-vmtest")->remove());
  }
  CHECK(networks->close());
  CHECK(networks->list_slots()->empty());
}

TEST_CASE_FIXTURE(QemuFixture, "a kernel panic is a crash, and the console says why") {
  if (!usable()) return;
  auto machine = boot(spec("panic", "panic"));
  CHECK(exit_of(*machine).kind == Exit::Kind::crashed);
  CHECK(machine->console_tail(kSomeBytes).find("Kernel panic") != std::string::npos);
  destroy(*machine);
}

TEST_CASE_FIXTURE(QemuFixture, "a console longer than any buffer is drained to its end") {
  if (!usable()) return;
  auto machine = boot(spec("flood", "flood"));
  CHECK(exit_of(*machine).kind == Exit::Kind::powered_off);
  const auto console = machine->console_tail(kConsoleBytesMax);
  CHECK(console.find("000000 0123") != std::string::npos);
  CHECK(console.find("004999 0123") != std::string::npos);
  destroy(*machine);
}

TEST_CASE_FIXTURE(QemuFixture,
                  "a machine outlives its object, is adopted by its identity, and destroyed") {
  if (!usable()) return;
  std::string journal;
  {
    auto machine = boot(spec("adopted", "tick"));
    CHECK(console_shows(*machine, "tick 3"));
    journal = to_json(machine->identity());
  }
  const auto identity = parse_machine_identity(journal);
  REQUIRE(identity);
  const auto restarted = make_qemu_driver(loop, {.cache_directory = NIMBUS_TEST_CACHE});
  auto adopted = run_on(loop, restarted->adopt(*identity));
  REQUIRE_MESSAGE(adopted, adopted.error().message);
  auto& machine = **adopted;
  CHECK(machine.console_tail(kSomeBytes).find("tick 3") != std::string::npos);  // from before
  const auto stats = run_on(loop, machine.stats());
  REQUIRE(stats);
  CHECK(stats->memory_bytes > 0);
  CHECK(stats->cpu_time > Duration(0));
  CHECK(run_on(loop, machine.pause()));
  CHECK(run_on(loop, machine.pause()));
  CHECK(run_on(loop, machine.resume()));
  const auto seen = machine.console_tail(kSomeBytes).size();
  CHECK(run_on(loop, becomes(loop, [&] {
                 return machine.console_tail(kSomeBytes).size() > seen;  // it ticks on
               })));
  CHECK(run_on(loop, machine.snapshot()).error().code == Code::bad_request);
  destroy(machine);
  CHECK(exit_of(machine).kind == Exit::Kind::killed);
  CHECK_FALSE(alive(machine));
  CHECK(leftovers("adopted") == 0);
  CHECK(run_on(loop, restarted->adopt(*identity)).error().code == Code::not_found);
  CHECK(run_on(loop, machine.pause()).error().code == Code::unavailable);
}

TEST_CASE_FIXTURE(QemuFixture, "a monitor killed by somebody else is noticed") {
  if (!usable()) return;
  auto machine = boot(spec("killed", "tick"));
  const auto identity = os::parse_process_identity(machine->identity().process).value();
  CHECK_FALSE(run_on(loop, machine->wait_exit(std::chrono::milliseconds(1))));
  auto monitor = os::Process::adopt(identity);
  REQUIRE(monitor);
  monitor->kill();
  const auto exit = exit_of(*machine);
  CHECK(exit.kind == Exit::Kind::killed);
  CHECK(exit.detail == "signal 9 (SIGKILL)");
  destroy(*machine);
}

TEST_CASE_FIXTURE(QemuFixture, "a frozen machine wakes up many times, each copy on its own") {
  if (!usable()) return;
  const auto frozen = directory.file("frozen");
  CHECK(os::make_directories(frozen));
  auto source_spec = spec("source", "tick");
  source_spec.snapshot_directory = frozen;
  auto source = boot(source_spec);
  CHECK(console_shows(*source, "tick 5\r\n"));
  const auto taken = run_on(loop, source->snapshot());
  REQUIRE_MESSAGE(taken, taken.error().message);
  CHECK(run_on(loop, source->resume()).error().code == Code::conflict);
  destroy(*source);
  constexpr size_t kMemoryBytesMax = size_t{129} << 20;
  const auto before = sha256(os::read_file(frozen + "/memory", kMemoryBytesMax).value());

  std::vector<std::unique_ptr<Machine>> copies;
  for (const auto* name : {"copy-1", "copy-2"}) {
    auto copy = run_on(loop, driver().restore(spec(name, "tick"), frozen));
    REQUIRE_MESSAGE(copy, copy.error().message);
    copies.push_back(std::move(*copy));
  }
  for (auto& copy : copies) {
    CHECK(console_shows(*copy, "tick 20\r\n"));  // it went on counting
    CHECK(copy->console_tail(kSomeBytes).find("guest is up") == std::string::npos);
  }
  for (auto& copy : copies) destroy(*copy);
  CHECK(sha256(os::read_file(frozen + "/memory", kMemoryBytesMax).value()) == before);

  auto bigger = spec("bigger", "tick");
  bigger.memory_mb = 256;
  const auto refused = run_on(loop, driver().restore(bigger, frozen));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::conflict);
  CHECK(leftovers("bigger") == 0);
}

TEST_CASE_FIXTURE(QemuFixture, "a monitor that cannot start says why and leaves nothing") {
  if (!usable()) return;
  auto wanted = spec("broken", "hello");
  wanted.disks = {{"image", "/no/such/disk", true}};
  const auto machine = run_on(loop, driver().boot(wanted));
  REQUIRE_FALSE(machine);
  CHECK(machine.error().code == Code::unavailable);
  CHECK_MESSAGE(machine.error().message.find("/no/such/disk") != std::string::npos,
                machine.error().message);
  CHECK(leftovers("broken") == 0);
  wanted = spec("broken", "hello");
  wanted.kernel = "/no/such/kernel";
  CHECK(run_on(loop, driver().boot(wanted)).error().code == Code::not_found);
}

TEST_CASE("without QEMU there is no machine, and the hint says what to install") {
  if (!has_guest_kernel()) return;
  net::Loop loop;
  const os::TemporaryDirectory directory;
  QemuOptions options;
  options.binary = "/no/such/qemu";
  options.cache_directory = directory.path();
  const auto driver = make_qemu_driver(loop, options);
  const auto capabilities = run_on(loop, driver->preflight(guest_file("vmlinuz")));
  REQUIRE_FALSE(capabilities);
  CHECK(capabilities.error().code == Code::unavailable);
  CHECK(capabilities.error().hint.find("qemu") != std::string::npos);
}
