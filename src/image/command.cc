#include "image/command.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <thread>

#include "base/encoding.h"
#include "base/text.h"
#include "os/process.h"
#include "os/unique_fd.h"

namespace nimbus::image {
namespace {

constexpr size_t kLineBytesMax = 4096;
constexpr size_t kLastWordsMax = 12;
constexpr auto kExitWait = std::chrono::seconds(60);  // after its output has ended

std::vector<std::string> environment_of(const Command& command) {
  const auto& additions = command.env;
  std::vector<std::string> entries;
  for (char** entry = environ; command.inherit_env && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    bool replaced = false;
    for (const auto& [name, value] : additions)
      replaced = replaced || (text.starts_with(name) && text.substr(name.size()).starts_with('='));
    if (!replaced) entries.emplace_back(text);
  }
  for (const auto& [name, value] : additions) entries.push_back(fmt::format("{}={}", name, value));
  return entries;
}

// The program's path, as a shell would find it.
Result<std::string> find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const char* path = ::getenv("PATH");
  for (std::string_view directory : split(path == nullptr ? "/usr/bin:/bin" : path, ':')) {
    std::string candidate = std::string(directory) + "/" + name;
    if (!directory.empty() && ::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return fail(Code::not_found, fmt::format("program {} is not installed", name),
              "make deps installs it");
}

struct Child {
  os::Process process;
  os::UniqueFd output;
};

Result<Child> start(const Command& command, int input) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail(errno_error("making a pipe", errno));
  os::UniqueFd reading(ends[0]);
  const os::UniqueFd writing(ends[1]);
  os::SpawnOptions options;
  options.argv = command.argv;
  options.argv[0] = TRY(find_program(command.argv[0]));
  options.environment = environment_of(command);
  options.directory = command.directory.empty() ? "." : command.directory;
  options.fds = {{writing.get(), 1}, {writing.get(), 2}};
  if (input >= 0) options.fds.emplace_back(input, 0);
  options.die_with_parent = true;
  options.no_new_privileges = false;  // dpkg's and npm's own scripts decide what they run as
  os::Process process = TRY(os::Process::spawn(options));
  return Child{std::move(process), std::move(reading)};
}

// Cuts the output into lines, passes them on, and keeps the last few for the error message.
class LineReader {
 public:
  explicit LineReader(const Command& command) : command_(command) {}

  void read_all(int fd) {
    char buffer[4096];
    for (;;) {
      const ssize_t count = ::read(fd, buffer, sizeof buffer);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) break;
      for (char c : std::string_view(buffer, static_cast<size_t>(count))) add(c);
    }
    finish_line();
  }

  std::string last_words() const {
    std::string text;
    for (const std::string& words : last_words_) text += "\n  " + words;
    return text;
  }

 private:
  void add(char c) {
    if (c == '\n' || c == '\r') {
      finish_line();
    } else if (line_.size() < kLineBytesMax) {
      line_.push_back(c);
    }
  }

  void finish_line() {
    if (!trim(line_).empty()) {
      if (command_.on_line) command_.on_line(line_);
      last_words_.push_back(to_utf8_lossy(line_));
      if (last_words_.size() > kLastWordsMax) last_words_.pop_front();
    }
    line_.clear();
  }

  const Command& command_;
  std::string line_;
  std::deque<std::string> last_words_;
};

Result<void> finish(const Command& command, Child child) {
  LineReader reader(command);
  reader.read_all(child.output.get());
  const auto exit = child.process.wait_exit_blocking(kExitWait);
  if (!exit) child.process.kill();
  if (exit && exit->code == 0) return {};
  const std::string how = exit ? os::to_text(*exit) : "closed its output and went on";
  return fail(Code::internal,
              fmt::format("{} failed ({}){}", command.argv[0], how, reader.last_words()));
}

}  // namespace

Result<void> Feed::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      reader_gone_ = errno == EPIPE || errno == ECONNRESET;
      return fail(errno_error("feeding a program", errno));
    }
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return {};
}

Result<void> run(const Command& command) {
  Child child = TRY(start(command, -1));
  return finish(command, std::move(child));
}

Result<void> run_fed(const Command& command, const std::function<Result<void>(Feed&)>& feed) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return fail(errno_error("making a socket pair", errno));
  os::UniqueFd ours(ends[0]), theirs(ends[1]);
  Child child = TRY(start(command, theirs.get()));
  theirs.reset();
  Result<void> fed;
  bool reader_gone = false;
  std::thread feeder([&] {
    Feed sink(ours.get());
    fed = feed(sink);
    reader_gone = sink.reader_gone();
    ours.reset();
  });
  Result<void> ended = finish(command, std::move(child));
  feeder.join();
  if (!fed && !reader_gone) return fed;
  return ended ? fed : ended;
}

}  // namespace nimbus::image
