#include "vm/qemu_host.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <array>
#include <boost/json.hpp>

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "os/atomic_file.h"
#include "os/process.h"
#include "os/unique_fd.h"
#include "vm/host_clock.h"
#include "vm/kernel_image.h"

namespace nimbus::vm {

namespace json = boost::json;

namespace {

constexpr Duration kVersionTimeout = std::chrono::seconds(20);
constexpr size_t kCacheBytesMax = 64 << 10;
constexpr size_t kVersionBytesMax = 4096;

// The number in "QEMU emulator version 7.2.22 (Debian …)".
Result<std::string> read_version(const std::string& binary) {
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return fail(errno_error("making a pipe", errno));
  const os::UniqueFd reader(pipe[0]);
  os::UniqueFd writer(pipe[1]);
  os::SpawnOptions options;
  options.argv = {binary, "--version"};
  options.fds = {{writer.get(), 1}};
  auto process = os::Process::spawn(options);
  if (!process)
    return fail(Code::unavailable, std::move(process).error().message,
                "install qemu-system-x86, or name its path");
  writer.reset();
  std::string text;
  std::array<char, 1024> piece;
  for (ssize_t got; text.size() < kVersionBytesMax &&
                    (got = ::read(reader.get(), piece.data(), piece.size())) > 0;)
    text.append(piece.data(), static_cast<size_t>(got));
  const auto exit = process->wait_exit_blocking(kVersionTimeout);
  if (!exit) process->kill();
  constexpr std::string_view kBefore = "version ";
  const auto start = text.find(kBefore);
  if (!exit || exit->code != 0 || start == std::string::npos)
    return fail(Code::unavailable, binary + " does not tell its version");
  const auto rest = std::string_view(text).substr(start + kBefore.size());
  return std::string(rest.substr(0, rest.find_first_of(" \r\n")));
}

// Boots the kernel with nothing to run: it panics at the end of its start, resets, and QEMU exits.
// On a KVM that only looks like one, QEMU aborts or the guest crawls. "" when it booted, else why
// not.
std::string probe_kvm(const QemuOptions& options, const std::string& kernel) {
  const os::UniqueFd device(::open("/dev/kvm", O_RDWR | O_CLOEXEC));
  if (!device) return errno_error("opening /dev/kvm", errno).message;
  os::SpawnOptions spawn;
  spawn.argv = {options.binary,
                "-nodefaults",
                "-no-user-config",
                "-display",
                "none",
                "-no-reboot",
                "-M",
                "microvm,acpi=on,pit=off,pic=off,rtc=on,dump-guest-core=off",
                "-accel",
                "kvm",
                "-cpu",
                "host",
                "-m",
                "256M",
                "-kernel",
                kernel,
                "-append",
                "quiet panic=-1 pci=off"};
  spawn.die_with_parent = true;
  auto process = os::Process::spawn(spawn);
  if (!process) return process.error().message;
  const auto exit = process->wait_exit_blocking(options.probe_timeout);
  if (exit && exit->code == 0) return "";
  if (exit) return "the probe guest did not boot under KVM: QEMU ended with " + to_text(*exit);
  process->kill();
  process->wait_exit_blocking(kVersionTimeout);
  return fmt::format("the probe guest did not boot under KVM within {} ms",
                     std::chrono::ceil<std::chrono::milliseconds>(options.probe_timeout).count());
}

std::string cache_path(const QemuOptions& options) {
  return options.cache_directory + "/qemu-host.json";
}

std::optional<QemuHost> find_remembered(const QemuOptions& options, const std::string& key) {
  const auto text = os::read_file(cache_path(options), kCacheBytesMax);
  if (!text) return std::nullopt;
  const auto object = parse_json_object(*text);
  if (!object || read_text(*object, "key").value_or("") != key) return std::nullopt;
  const auto khz = read_int(*object, "tsc_khz", 1, INT64_MAX);
  if (!khz) return std::nullopt;
  return QemuHost{read_text(*object, "version").value_or(""),
                  read_text(*object, "accel").value_or("tcg"),
                  read_text(*object, "detail").value_or(""), static_cast<uint64_t>(*khz)};
}

Result<void> remember(const QemuOptions& options, const std::string& key, const QemuHost& host) {
  const json::object object{{"key", key},
                            {"version", host.version},
                            {"accel", host.accel},
                            {"detail", host.detail},
                            {"tsc_khz", host.tsc_khz}};
  return os::write_file_atomically(cache_path(options), json::serialize(object));
}

}  // namespace

Result<QemuHost> inspect_host(const QemuOptions& options, const std::string& kernel) {
  auto binary = file_identity(options.binary);
  if (!binary)
    return fail(Code::unavailable, std::move(binary).error().message,
                "install qemu-system-x86, or name its path");
  TRY(os::make_directories(options.cache_directory));
  const auto elf = TRY(prepare_kernel(kernel, options.cache_directory));
  const auto key = fmt::format("{} {} {} {}", os::read_boot_id(), *binary, TRY(file_identity(elf)),
                               static_cast<int>(options.accel));
  if (auto remembered = find_remembered(options, key)) return *remembered;
  QemuHost host;
  host.version = TRY(read_version(options.binary));
  host.tsc_khz = measure_tsc_khz();
  host.accel = options.accel == Accel::tcg ? "tcg" : "kvm";
  if (options.accel == Accel::automatic) {
    host.detail = probe_kvm(options, elf);
    if (!host.detail.empty()) host.accel = "tcg";
  }
  log_info(
      "virtual machine monitor",
      {{"vmm", "qemu"}, {"version", host.version}, {"accel", host.accel}, {"detail", host.detail}});
  TRY(remember(options, key, host));
  return host;
}

}  // namespace nimbus::vm
