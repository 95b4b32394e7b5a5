#include "guest/launcher.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

namespace nimbus::guest {
namespace {

constexpr rlim_t kOpenFilesMax = 65536;

// Orders travel as one blob: a length, then for each text its length and bytes.
class Packer {
 public:
  void number(uint64_t value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void text(std::string_view value) {
    number(value.size());
    bytes_ += value;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// Reads what Packer wrote; both ends are this program.
class Unpacker {
 public:
  explicit Unpacker(std::string_view bytes) : bytes_(bytes) {}
  uint64_t number() {
    uint64_t value = 0;
    std::memcpy(&value, bytes_.data(), sizeof value);
    bytes_.remove_prefix(sizeof value);
    return value;
  }
  std::string text() {
    const size_t size = number();
    std::string value(bytes_.substr(0, size));
    bytes_.remove_prefix(size);
    return value;
  }

 private:
  std::string_view bytes_;
};

std::string pack(const Launch& launch) {
  Packer packer;
  packer.number(launch.command.size());
  for (const std::string& word : launch.command) packer.text(word);
  packer.number(launch.env.size());
  for (const auto& [name, value] : launch.env)
    packer.text(std::string(name).append("=").append(value));
  const auto path = launch.env.find("PATH");
  packer.text(path == launch.env.end() ? "/usr/local/bin:/usr/bin:/bin" : path->second);
  packer.text(launch.workdir);
  packer.number(launch.drop_privileges ? 1 : 0);
  packer.number(launch.account.uid);
  packer.number(launch.account.gid);
  packer.number(launch.account.groups.size());
  for (const gid_t group : launch.account.groups) packer.number(group);
  return packer.bytes();
}

bool read_all(int fd, void* to, size_t size) {
  auto* at = static_cast<char*>(to);
  while (size > 0) {
    const ssize_t count = ::read(fd, at, size);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    at += count;
    size -= static_cast<size_t>(count);
  }
  return true;
}

// The child's side, from orders to execve. Gives the errno that stopped it.
int drop_to(uid_t uid, gid_t gid, const std::vector<gid_t>& groups) {
  if (::setgroups(groups.size(), groups.data()) != 0) return errno;
  if (::setresgid(gid, gid, gid) != 0) return errno;
  if (::setresuid(uid, uid, uid) != 0) return errno;
  return 0;
}

int exec_in_path(const std::vector<char*>& argv, const std::vector<char*>& envp,
                 const std::string& path) {
  const std::string name = argv[0];
  if (name.find('/') != std::string::npos) {
    ::execve(argv[0], argv.data(), envp.data());
    return errno;
  }
  int worst = ENOENT;
  for (size_t start = 0; start <= path.size();) {
    const size_t end = std::min(path.find(':', start), path.size());
    const std::string folder = path.substr(start, end - start);
    start = end + 1;
    const std::string file = (folder.empty() ? "." : folder) + "/" + name;
    ::execve(file.c_str(), argv.data(), envp.data());
    if (errno == EACCES) worst = EACCES;
    if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) return errno;
  }
  return worst;
}

int run_orders(std::string_view bytes) {
  Unpacker orders(bytes);
  std::vector<std::string> command(orders.number());
  for (std::string& word : command) word = orders.text();
  std::vector<std::string> env(orders.number());
  for (std::string& variable : env) variable = orders.text();
  const std::string path = orders.text();
  const std::string workdir = orders.text();
  const bool drop = orders.number() == 1;
  const auto uid = static_cast<uid_t>(orders.number());
  const auto gid = static_cast<gid_t>(orders.number());
  std::vector<gid_t> groups(orders.number());
  for (gid_t& group : groups) group = static_cast<gid_t>(orders.number());

  if (drop) {
    if (const int error = drop_to(uid, gid, groups); error != 0) return error;
  }
  if (::chdir(workdir.c_str()) != 0) return errno;
  std::vector<char*> argv, envp;
  for (std::string& word : command) argv.push_back(word.data());
  for (std::string& variable : env) envp.push_back(variable.data());
  argv.push_back(nullptr);
  envp.push_back(nullptr);
  return exec_in_path(argv, envp, path);
}

[[noreturn]] void wait_for_orders(int orders_fd, int status_fd) {
  ::setsid();
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  const rlimit files{kOpenFilesMax, kOpenFilesMax};
  (void)::setrlimit(RLIMIT_NOFILE, &files);
  (void)::umask(022);

  uint64_t size = 0;
  if (!read_all(orders_fd, &size, sizeof size)) ::_exit(0);  // the guest has no job after all
  std::string bytes(size, '\0');
  if (!read_all(orders_fd, bytes.data(), size)) ::_exit(0);
  const int error = run_orders(bytes);
  (void)!::write(status_fd, &error, sizeof error);
  ::_exit(error == ENOENT ? 127 : 126);
}

struct Pipe {
  int read = -1;
  int write = -1;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(errno_error("pipe", errno));
  return Pipe{ends[0], ends[1]};
}

}  // namespace

Result<Launcher> Launcher::prepare(const std::string& cgroup) {
  const Pipe orders = TRY(make_pipe());
  const Pipe status = TRY(make_pipe());
  const Pipe output = TRY(make_pipe());
  const Pipe error = TRY(make_pipe());
  const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (nothing < 0) return fail(errno_error("open /dev/null", errno));

  const pid_t pid = ::fork();
  if (pid < 0) return fail(errno_error("fork", errno));
  if (pid == 0) {
    ::dup2(nothing, STDIN_FILENO);
    ::dup2(output.write, STDOUT_FILENO);
    ::dup2(error.write, STDERR_FILENO);
    ::close(orders.write);  // or the end of the guest would go unseen
    wait_for_orders(orders.read, status.write);
  }
  for (const int fd : {orders.read, status.write, output.write, error.write, nothing}) ::close(fd);
  for (const int fd : {output.read, error.read}) ::fcntl(fd, F_SETFL, O_NONBLOCK);
  Launcher launcher;
  launcher.pid_ = pid;
  launcher.orders_fd_ = orders.write;
  launcher.status_fd_ = status.read;
  launcher.output_fd_ = output.read;
  launcher.error_fd_ = error.read;
  if (!cgroup.empty()) {
    const std::string members = cgroup + "/cgroup.procs";
    const int fd = ::open(members.c_str(), O_WRONLY | O_CLOEXEC);
    const std::string text = std::to_string(pid);
    const bool joined = fd >= 0 && ::write(fd, text.data(), text.size()) > 0;
    const int reason = errno;
    if (fd >= 0) ::close(fd);
    if (!joined) return fail(errno_error("write " + members, reason));
  }
  return launcher;
}

Launcher::Launcher(Launcher&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      orders_fd_(std::exchange(other.orders_fd_, -1)),
      status_fd_(std::exchange(other.status_fd_, -1)),
      output_fd_(std::exchange(other.output_fd_, -1)),
      error_fd_(std::exchange(other.error_fd_, -1)),
      started_(other.started_) {}

Launcher::~Launcher() {
  for (const int fd : {orders_fd_, status_fd_, output_fd_, error_fd_}) {
    if (fd >= 0) ::close(fd);
  }
  if (pid_ > 0 && !started_) {
    (void)::kill(pid_, SIGKILL);
    (void)::waitpid(pid_, nullptr, 0);
  }
}

Result<void> Launcher::start(const Launch& launch) {
  const std::string body = pack(launch);
  const uint64_t size = body.size();
  std::string bytes(reinterpret_cast<const char*>(&size), sizeof size);
  bytes += body;
  std::string_view left = bytes;
  while (!left.empty()) {
    const ssize_t count = ::write(orders_fd_, left.data(), left.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(Code::unavailable, errno_error("start the job", errno).message);
    left.remove_prefix(static_cast<size_t>(count));
  }
  started_ = true;
  return {};
}

int Launcher::await_start() {
  int error = 0;
  if (!read_all(status_fd_, &error, sizeof error)) return 0;  // closed by a successful execve
  return error;
}

}  // namespace nimbus::guest
