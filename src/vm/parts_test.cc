// The driver's parts that need no machine.
#include <doctest/doctest.h>
#include <lz4.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstring>
#include <thread>

#include "vm/console_ring.h"
#include "vm/fake_vm.h"
#include "vm/host_clock.h"
#include "vm/kernel_image.h"
#include "vm/qemu_command.h"
#include "vm/qmp.h"
#include "vm/snapshot_files.h"
#include "vm/test_support.h"

using namespace nimbus;
using namespace nimbus::vm;

namespace {

std::string u32(uint32_t value) {
  std::string bytes(4, '\0');
  std::memcpy(bytes.data(), &value, 4);
  return bytes;
}

// A bzImage with this kernel inside: setup header, one LZ4 block, unpacked size.
std::string make_bzimage(const std::string& kernel, uint32_t promised) {
  std::string packed(static_cast<size_t>(LZ4_compressBound(static_cast<int>(kernel.size()))), '\0');
  packed.resize(static_cast<size_t>(LZ4_compress_default(kernel.data(), packed.data(),
                                                         static_cast<int>(kernel.size()),
                                                         static_cast<int>(packed.size()))));
  const auto payload =
      u32(0x184c2102) + u32(static_cast<uint32_t>(packed.size())) + packed + u32(promised);
  std::string image(2 * 512, '\0');
  image[0x1f1] = 1;
  image.replace(0x202, 4, "HdrS");
  image.replace(0x206, 4, u32(0x020f));
  image.replace(0x248, 4, u32(16));
  image.replace(0x24c, 4, u32(static_cast<uint32_t>(payload.size())));
  return image + std::string(16, '\0') + payload + "trailing section";
}

std::string some_kernel() {
  return "\x7f"
         "ELF" +
         std::string(100'000, 'k');
}

MachineSpec some_spec() {
  MachineSpec spec;
  spec.name = "slot-0";
  spec.directory = "/run/nimbus/slot-0";
  spec.kernel = "/k";
  spec.initramfs = "/i";
  return spec;
}

bool contains(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}
std::string after(const std::vector<std::string>& words, const std::string& word) {
  const auto found = std::find(words.begin(), words.end(), word);
  return found == words.end() || found + 1 == words.end() ? "" : *(found + 1);
}

}  // namespace

TEST_CASE("a bzImage gives the kernel inside it") {
  const auto kernel = some_kernel();
  const auto image = make_bzimage(kernel, static_cast<uint32_t>(kernel.size()));
  const auto unpacked = unpack_bzimage(image);
  REQUIRE_MESSAGE(unpacked, unpacked.error().message);
  CHECK(*unpacked == kernel);
}

TEST_CASE("a damaged bzImage is refused, wherever it is cut or wrong") {
  const auto kernel = some_kernel();
  const auto size = static_cast<uint32_t>(kernel.size());
  const auto image = make_bzimage(kernel, size);
  for (size_t length = 0; length + 16 < image.size(); length += 7)
    CHECK(unpack_bzimage(std::string_view(image).substr(0, length)).error().code ==
          Code::bad_request);
  CHECK(unpack_bzimage(make_bzimage(kernel, size + 1)).error().code == Code::bad_request);
  CHECK(unpack_bzimage(make_bzimage(kernel, size - 1)).error().code == Code::bad_request);
  CHECK(unpack_bzimage(make_bzimage(kernel, 0xffffffff)).error().code == Code::bad_request);
  auto other = image;
  other.replace(2 * 512 + 16, 4, u32(0xfd2fb528));  // zstd
  CHECK(unpack_bzimage(other).error().message.find("LZ4") != std::string::npos);
  CHECK(unpack_bzimage(make_bzimage("not an ELF kernel", 17)).error().code == Code::bad_request);
}

TEST_CASE("a kernel is unpacked once, and again when the file changes") {
  const os::TemporaryDirectory directory;
  const auto path = directory.file("vmlinuz"), cache = directory.file("cache");
  const auto kernel = some_kernel();
  const auto image = make_bzimage(kernel, static_cast<uint32_t>(kernel.size()));
  REQUIRE(os::write_file_atomically(path, image));
  const auto first = prepare_kernel(path, cache);
  REQUIRE_MESSAGE(first, first.error().message);
  CHECK(os::read_file(*first, 1 << 20).value() == kernel);
  CHECK(prepare_kernel(path, cache).value() == *first);
  CHECK(prepare_kernel(*first, cache).value() == *first);  // an ELF is taken as it is
  REQUIRE(os::write_file_atomically(path, image + "x"));
  CHECK(prepare_kernel(path, cache).value() != *first);
  CHECK(prepare_kernel(directory.file("none"), cache).error().code == Code::not_found);
}

TEST_CASE("the console ring keeps the last mebibyte, over reopening too") {
  const os::TemporaryDirectory directory;
  const auto path = directory.file("ring");
  {
    auto ring = ConsoleRing::open(path);
    REQUIRE_MESSAGE(ring, ring.error().message);
    CHECK(ring->tail(10).empty());
    ring->append("hello ");
    ring->append("world");
    CHECK(ring->tail(100) == "hello world");
    CHECK(ring->tail(5) == "world");
  }
  auto ring = ConsoleRing::open(path);
  REQUIRE(ring);
  CHECK(ring->tail(100) == "hello world");
  ring->append(std::string(kConsoleBytesMax - 3, 'x'));
  ring->append("end");
  CHECK(ring->tail(2 * kConsoleBytesMax).size() == kConsoleBytesMax);
  CHECK(ring->tail(4) == "xend");
  ring->append(std::string(3 * kConsoleBytesMax, 'y') + "z");
  CHECK(ring->tail(3) == "yyz");
  REQUIRE(os::write_file_atomically(path, "something else"));
  CHECK(ConsoleRing::open(path).error().code == Code::corrupt);
}

TEST_CASE("an identity survives its journal, and what is not one is refused") {
  const MachineIdentity identity{"qemu", "slot-1", "/run/a \"b\"", "1:2:boot", "nimbus/slot-1"};
  CHECK(parse_machine_identity(to_json(identity)).value() == identity);
  for (const auto* bad : {"", "{}", "[]", R"({"driver":1})"})
    CHECK(parse_machine_identity(bad).error().code == Code::bad_request);
}

TEST_CASE("the command line confines QEMU, and an emulated guest is told the clock's rate") {
  auto spec = some_spec();
  spec.uid = spec.gid = 1234;
  spec.disks = {{"image", "/a,b\"c", true}};
  QemuLaunch launch;
  launch.binary = "/usr/bin/qemu-system-x86_64";
  launch.accel = "tcg";
  launch.tsc_khz = 2600000;
  launch.empty_directory = "/empty";
  const auto words = qemu_arguments(spec, launch);
  CHECK(after(words, "-runas") == "1234:1234");
  CHECK(after(words, "-chroot") == "/empty");
  CHECK(after(words, "-sandbox").find("spawn=deny") != std::string::npos);
  CHECK(after(words, "-append").find("tsc_early_khz=2600000") != std::string::npos);
  const auto disk = boost::json::parse(after(words, "-blockdev")).as_object();
  CHECK(disk.at("file").as_object().at("filename") == "/a,b\"c");  // as it is
  CHECK(disk.at("read-only") == true);
  CHECK_FALSE(contains(words, "-netdev"));
  launch.accel = "kvm";
  CHECK(kernel_command_line(spec, launch).find("tsc_early_khz") == std::string::npos);
}

TEST_CASE("a spec that a machine cannot have is refused") {
  const auto code = [](const std::function<void(MachineSpec&)>& change) {
    auto spec = some_spec();
    change(spec);
    const auto checked = check_spec(spec);
    return checked ? Code::internal : checked.error().code;
  };
  CHECK(check_spec(some_spec()));
  CHECK(code([](auto& s) { s.name = "a,b"; }) == Code::bad_request);
  CHECK(code([](auto& s) { s.directory = "relative"; }) == Code::bad_request);
  CHECK(code([](auto& s) { s.directory = "/" + std::string(100, 'x'); }) == Code::bad_request);
  CHECK(code([](auto& s) { s.cpus = 0; }) == Code::bad_request);
  CHECK(code([](auto& s) { s.memory_mb = 1; }) == Code::bad_request);
  CHECK(code([](auto& s) { s.disks = {{"a,b", "/x"}}; }) == Code::bad_request);
  CHECK(code([](auto& s) { s.disks = {{"a", "/x"}, {"a", "/y"}}; }) == Code::bad_request);
  CHECK(code([](auto& s) { s.network = Network{"/n", "tap0", "x,y"}; }) == Code::bad_request);
  CHECK(code([](auto& s) { s.uid = 5; }) == Code::bad_request);
}

TEST_CASE("a snapshot without its manifest is none") {
  const os::TemporaryDirectory directory;
  auto spec = some_spec();
  spec.snapshot_directory = directory.path();
  CHECK(check_snapshot(directory.path(), "key").error().code == Code::conflict);
  REQUIRE(begin_snapshot(spec));
  CHECK(check_snapshot(directory.path(), "key").error().code == Code::conflict);
  REQUIRE(finish_snapshot(directory.path(), "key"));
  CHECK(check_snapshot(directory.path(), "key"));
  CHECK(check_snapshot(directory.path(), "another").error().code == Code::conflict);
  REQUIRE(begin_snapshot(spec));  // a new one begins: the old one is no longer offered
  CHECK(check_snapshot(directory.path(), "key").error().code == Code::conflict);
}

TEST_CASE("the counter's rate is measured twice alike") {
  const auto first = measure_tsc_khz(), second = measure_tsc_khz();
  CHECK(first > 100'000);
  CHECK(std::max(first, second) - std::min(first, second) < first / 100);
}

namespace {

// The monitor's end of a control connection, played by the test.
struct Monitor {
  Monitor() {
    int pair[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    ours.reset(pair[0]);
    theirs.reset(pair[1]);
    timeval patience{20, 0};
    ::setsockopt(theirs.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  void say(const std::string& line) {
    REQUIRE(::write(theirs.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size()));
  }
  std::string hear() {
    char bytes[4096];
    const auto got = ::read(theirs.get(), bytes, sizeof bytes);
    return std::string(bytes, got > 0 ? static_cast<size_t>(got) : 0);
  }
  os::UniqueFd ours, theirs;
};

constexpr Duration kPatience = std::chrono::seconds(20);

}  // namespace

TEST_CASE("the control connection pairs answers with commands and hands events out") {
  net::Loop loop;
  Monitor monitor;
  monitor.say("{\"QMP\": {}}\r\n{\"return\": {}}\r\n");
  std::vector<std::string> events;
  auto qmp = run_on(loop, Qmp::connect(
                              loop, std::move(monitor.ours),
                              [&](std::string_view name, const boost::json::object&) {
                                events.emplace_back(name);
                              },
                              kPatience));
  REQUIRE_MESSAGE(qmp, qmp.error().message);
  CHECK(monitor.hear() == "{\"execute\":\"qmp_capabilities\"}\n");
  monitor.say("{\"event\": \"STOP\"}\n{\"return\": {\"status\": \"paused\"}}\n");
  const auto status = run_on(loop, (*qmp)->call("query-status", {}, kPatience));
  REQUIRE(status);
  CHECK(status->at("status") == "paused");
  CHECK(events == std::vector<std::string>{"STOP"});
  monitor.say("{\"error\": {\"class\": \"GenericError\", \"desc\": \"no such thing\"}}\n");
  const auto refused = run_on(loop, (*qmp)->run("cont", kPatience));
  CHECK(refused.error().message == "asking the monitor for cont: no such thing");
  monitor.theirs.reset();
  CHECK(run_on(loop, (*qmp)->run("cont", kPatience)).error().code == Code::unavailable);
}

TEST_CASE("a monitor that says what is not QMP, or nothing, is given up") {
  for (const auto* words : {"hello\n", "[]\n", "{}\n", "{\"event\": 1}\n"}) {
    net::Loop loop;
    Monitor monitor;
    monitor.say(words);
    const auto qmp = run_on(loop, Qmp::connect(loop, std::move(monitor.ours), {}, kPatience));
    REQUIRE_FALSE(qmp);
    CHECK(qmp.error().code == Code::unavailable);
  }
  net::Loop loop;
  Monitor silent;
  const auto qmp =
      run_on(loop, Qmp::connect(loop, std::move(silent.ours), {}, std::chrono::milliseconds(1)));
  CHECK(qmp.error().code == Code::unavailable);
}

TEST_CASE("the fake driver's machines live on its host, not in their objects") {
  net::Loop loop;
  const auto host = std::make_shared<FakeHost>();
  MachineIdentity identity;
  {
    FakeDriver first(host);
    first.on_boot = [](FakeMachine& machine) { machine.write_console("up\n"); };
    auto machine = run_on(loop, first.boot(some_spec()));
    REQUIRE(machine);
    CHECK((*machine)->console_tail(10) == "up\n");
    CHECK(run_on(loop, first.boot(some_spec())).error().code == Code::conflict);
    identity = (*machine)->identity();
  }
  FakeDriver second(host);
  auto adopted = run_on(loop, second.adopt(identity));
  REQUIRE(adopted);
  CHECK(second.running() == 1);
  loop.post([&] { second.find("slot-0")->end({Exit::Kind::powered_off, ""}); });
  CHECK(run_on(loop, (*adopted)->wait_exit()).kind == Exit::Kind::powered_off);
  CHECK(run_on(loop, second.adopt(identity)).error().code == Code::not_found);
  second.boot_failures.push_back(Error{Code::unavailable, "no memory"});
  CHECK(run_on(loop, second.boot(some_spec())).error().message == "no memory");
  auto again = run_on(loop, second.boot(some_spec()));
  REQUIRE(again);
  CHECK(run_on(loop, (*again)->destroy()));
  CHECK(second.running() == 0);
  CHECK(second.find("slot-0")->destroyed);
}
