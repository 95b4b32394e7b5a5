#include "guest/machine.h"

#include <fcntl.h>
#include <linux/random.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstring>
#include <ctime>
#include <vector>

#include "base/text.h"
#include "guest/files.h"

namespace nimbus::guest {
namespace {

constexpr size_t kDiskFullBytes = size_t{1} << 20;     // less than that free counts as full
constexpr int64_t kReservedBytes = int64_t{16} << 20;  // of memory, for this process and the kernel
constexpr const char* kUsualUser = "runner";

// The number after `name` and blanks at the start of a line of a file, or 0.
int64_t counter_in(const std::string& path, std::string_view name) {
  const std::string text = read_file(path);
  for (const std::string_view line : split(text, '\n')) {
    if (!line.starts_with(name) || line.size() <= name.size() || line[name.size()] != ' ') continue;
    int64_t value = 0;
    const std::string_view rest = trim(line.substr(name.size()));
    (void)std::from_chars(rest.data(), rest.data() + rest.size(), value);
    return value;
  }
  return 0;
}

Account read_account(const std::string& user) {
  Account account = guest::find_account(read_file("/etc/passwd"), read_file("/etc/group"), user);
  if (!account.known) say("image has no user '" + user + "': uid 1000 instead");
  return account;
}

void add_entropy(const std::string& bytes) {
  if (bytes.empty()) return;
  const int fd = ::open("/dev/urandom", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  std::vector<char> buffer(sizeof(rand_pool_info) + bytes.size());
  rand_pool_info info{};
  info.entropy_count = static_cast<int>(bytes.size() * 8);
  info.buf_size = static_cast<int>(bytes.size());
  std::memcpy(buffer.data(), &info, sizeof info);
  std::memcpy(buffer.data() + sizeof info, bytes.data(), bytes.size());
  // Only both together make two restored copies of one machine differ at once.
  if (::ioctl(fd, RNDADDENTROPY, buffer.data()) != 0 || ::ioctl(fd, RNDRESEEDCRNG) != 0) {
    say("cannot reseed the kernel's random numbers: " + std::string(std::strerror(errno)));
  }
  ::close(fd);
}

}  // namespace

void say(const std::string& text) {
  const std::string line = "nimbus-guest: " + text + "\n";
  (void)!::write(STDERR_FILENO, line.data(), line.size());
}

std::map<std::string, std::string> read_command_line() {
  std::map<std::string, std::string> words;
  const std::string text = read_file("/proc/cmdline");
  for (const std::string_view word : split(trim(text), ' ')) {
    const size_t equals = word.find('=');
    const auto value = equals == std::string_view::npos ? "" : word.substr(equals + 1);
    words[std::string(word.substr(0, equals))] = value;
  }
  return words;
}

std::string describe_machine() {
  utsname kernel{};
  struct sysinfo memory{};
  (void)::uname(&kernel);
  (void)::sysinfo(&memory);
  const auto mebibytes = (memory.totalram * memory.mem_unit) >> 20U;
  return std::string("nimbus-guest " NIMBUS_VERSION " on ") + kernel.sysname + " " +
         kernel.release + " " + kernel.machine + ", " + std::to_string(::get_nprocs()) + " cpus, " +
         std::to_string(mebibytes) + " MiB";
}

std::string make_job_cgroup() {
  const std::string root = "/sys/fs/cgroup";
  std::string job = root + "/job";
  if (!write_file(root + "/cgroup.subtree_control", "+memory +pids") ||
      ::mkdir(job.c_str(), 0755) != 0) {
    say("no cgroup for the job: " + std::string(std::strerror(errno)));
    return "";
  }
  // The job hits its own limit before the kernel's: it is then killed at once, where the whole
  // machine would first throw out and reread every program's pages for minutes.
  const int64_t available = counter_in("/proc/meminfo", "MemAvailable:") * 1024;
  if (available > 2 * kReservedBytes) {
    (void)write_file(job + "/memory.max", std::to_string(available - kReservedBytes));
  }
  return job;
}

void power_off(bool by_reset) {
  (void)::reboot(by_reset ? RB_AUTOBOOT : RB_POWER_OFF);
  for (;;) ::pause();
}

MachineSurroundings::MachineSurroundings(std::string cgroup)
    : cgroup_(std::move(cgroup)), usual_(read_account(kUsualUser)) {}

void MachineSurroundings::set_clock(const GuestJob& job) {
  if (job.time_ns > 0) {
    const timespec now{static_cast<time_t>(job.time_ns / 1'000'000'000),
                       static_cast<long>(job.time_ns % 1'000'000'000)};
    if (::clock_settime(CLOCK_REALTIME, &now) != 0) say("cannot set the clock");
  }
  add_entropy(job.entropy);
}

void MachineSurroundings::set_name(const std::string& hostname) {
  (void)!::sethostname(hostname.data(), hostname.size());
  append_file("/etc/hosts", "127.0.1.1 " + hostname + "\n");
}

Account MachineSurroundings::find_account(const std::string& user) {
  return user == kUsualUser ? usual_ : read_account(user);
}

void MachineSurroundings::make_workdir(const std::string& path, const Account& account) {
  for (size_t end = 1; end != std::string::npos;) {
    end = path.find('/', end + 1);
    const std::string folder = path.substr(0, end);
    if (::mkdir(folder.c_str(), 0755) != 0) continue;
    const bool own =
        folder == account.home || folder == path || folder.starts_with(account.home + "/");
    if (own) (void)!::chown(folder.c_str(), account.uid, account.gid);
  }
}

void MachineSurroundings::kill_everything(pid_t) {
  // As PID 1 this reaches every process but the kernel's and our own, whatever session or cgroup it
  // has fled to.
  (void)::kill(-1, SIGKILL);
}

bool MachineSurroundings::out_of_memory() {
  if (!cgroup_.empty() && counter_in(cgroup_ + "/memory.events", "oom_kill") > 0) return true;
  return counter_in("/proc/vmstat", "oom_kill") > 0;
}

bool MachineSurroundings::disk_full() {
  struct statvfs disk{};
  if (::statvfs("/", &disk) != 0) return false;
  return disk.f_bavail * disk.f_frsize < kDiskFullBytes || (disk.f_files > 0 && disk.f_favail == 0);
}

}  // namespace nimbus::guest
