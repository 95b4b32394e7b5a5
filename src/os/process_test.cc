#include "os/process.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>
#include <thread>

#include "os/test_support.h"
#include "os/unique_fd.h"

using namespace nimbus;
using namespace nimbus::os;

namespace {

constexpr Duration kPatience = std::chrono::seconds(20);

// Runs a shell script to its end and returns what it wrote to standard output.
std::string output_of(SpawnOptions options, const std::string& script) {
  int pipe[2];
  REQUIRE(::pipe2(pipe, O_CLOEXEC) == 0);
  const UniqueFd reader(pipe[0]);
  UniqueFd writer(pipe[1]);
  options.argv = {"/bin/sh", "-c", script};
  options.fds.emplace_back(writer.get(), 1);
  auto process = Process::spawn(options);
  REQUIRE_MESSAGE(process, process.error().message);
  writer.reset();
  std::string text;
  char piece[4096];
  for (ssize_t got; (got = ::read(reader.get(), piece, sizeof piece)) > 0;)
    text.append(piece, static_cast<size_t>(got));
  CHECK(process->wait_exit_blocking(kPatience));
  return text;
}

Process sleeper() {
  SpawnOptions options;
  options.argv = {"/bin/sleep", "1000"};
  auto process = Process::spawn(options);
  REQUIRE_MESSAGE(process, process.error().message);
  return std::move(*process);
}

}  // namespace

TEST_CASE("a child's exit code is its own") {
  SpawnOptions options;
  options.argv = {"/bin/sh", "-c", "exit 7"};
  auto process = Process::spawn(options);
  REQUIRE(process);
  const auto exit = process->wait_exit_blocking(kPatience);
  REQUIRE(exit);
  CHECK(exit->code == 7);
  CHECK(to_text(*exit) == "exit code 7");
}

TEST_CASE("a program that does not exist is not found, and no child is left") {
  SpawnOptions options;
  options.argv = {"/no/such/program"};
  const auto process = Process::spawn(options);
  REQUIRE_FALSE(process);
  CHECK(process.error().code == Code::not_found);
  CHECK(process.error().message.find("/no/such/program") != std::string::npos);
}

TEST_CASE("a child inherits no environment and no descriptor but the ones it is given") {
  const UniqueFd leaked(::open("/dev/zero", O_RDONLY));  // on purpose without O_CLOEXEC
  ::setenv("NIMBUS_TEST_LEAK", "1", 1);
  SpawnOptions options;
  options.environment = {"GIVEN=yes"};
  CHECK(output_of(options, "echo $GIVEN$NIMBUS_TEST_LEAK") == "yes\n");
  // ls itself opens one for the directory.
  CHECK(output_of(options, "ls /proc/self/fd | tr '\\n' ' '") == "0 1 2 3 ");
  ::unsetenv("NIMBUS_TEST_LEAK");
}

TEST_CASE("descriptors arrive under the numbers asked for, crossed ones too") {
  const TemporaryDirectory directory;
  const UniqueFd first(
      ::open(directory.file("first").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  const UniqueFd second(
      ::open(directory.file("second").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  SpawnOptions options;
  options.fds = {{first.get(), second.get()}, {second.get(), first.get()}};
  options.argv = {
      "/bin/sh", "-c",
      "echo one >&" + std::to_string(second.get()) + "; echo two >&" + std::to_string(first.get())};
  auto process = Process::spawn(options);
  REQUIRE(process);
  REQUIRE(process->wait_exit_blocking(kPatience)->code == 0);
  CHECK(read_file(directory.file("first"), 100).value() == "one\n");
  CHECK(read_file(directory.file("second"), 100).value() == "two\n");
}

TEST_CASE("a child may not gain privileges") {
  CHECK(output_of({}, "grep NoNewPrivs /proc/self/status") == "NoNewPrivs:\t1\n");
}

TEST_CASE("a child becomes another user without supplementary groups") {
  if (!is_root("changing the user needs root")) return;
  SpawnOptions options;
  options.user = {65533, 65532};
  CHECK(output_of(options, "grep -E '^(Uid|Gid|Groups)' /proc/self/status | tr -s '\\t ' ' '") ==
        "Uid: 65533 65533 65533 65533\nGid: 65532 65532 65532 65532\nGroups: \n");
}

TEST_CASE("a process that was dropped is adopted by its identity and killed") {
  std::string journal;
  {
    const auto process = sleeper();
    journal = to_text(process.identity());
  }
  const auto identity = parse_process_identity(journal);
  REQUIRE(identity);
  CHECK(is_alive(*identity));
  auto adopted = Process::adopt(*identity);
  REQUIRE_MESSAGE(adopted, adopted.error().message);
  adopted->kill();
  CHECK(adopted->wait_exit_blocking(kPatience)->signal == SIGKILL);
  CHECK_FALSE(is_alive(*identity));
  const auto again = Process::adopt(*identity);
  REQUIRE_FALSE(again);
  CHECK(again.error().code == Code::not_found);
}

TEST_CASE("another process under the same pid is not adopted") {
  auto process = sleeper();
  auto identity = process.identity();
  identity.start_ticks += 1;
  CHECK_FALSE(is_alive(identity));
  CHECK(Process::adopt(identity).error().code == Code::not_found);
  auto rebooted = process.identity();
  rebooted.boot_id = "another boot";
  CHECK(Process::adopt(rebooted).error().code == Code::not_found);
  process.kill();
  CHECK(process.wait_exit_blocking(kPatience));
}

TEST_CASE("an identity that is not one is refused") {
  for (const auto* text : {"", "1", "1:2", "x:2:boot", "0:2:boot", "-1:2:boot", "1:y:boot"})
    CHECK(parse_process_identity(text).error().code == Code::bad_request);
}

TEST_CASE("waiting on the loop ends with the process, or with the time given") {
  boost::asio::io_context context;
  auto process = sleeper();
  std::vector<std::string> seen;
  const auto wait = [](Process& target, std::vector<std::string>& log) -> Task<void> {
    const auto early = co_await target.wait_exit(std::chrono::milliseconds(1));
    log.push_back(early ? "ended" : "still running");
    target.kill();
    const auto exit = co_await target.wait_exit();
    log.push_back(to_text(exit));
  };
  boost::asio::co_spawn(context, wait(process, seen), boost::asio::detached);
  context.run();
  CHECK(seen == std::vector<std::string>{"still running", "signal 9 (SIGKILL)"});
}

TEST_CASE("a child that shall die with its parent's thread does") {
  SpawnOptions options;
  options.die_with_parent = true;
  options.argv = {"/bin/sleep", "1000"};
  std::optional<Process> child;
  std::thread([&] {
    auto spawned = Process::spawn(options);
    REQUIRE(spawned);
    child = std::move(*spawned);
  }).join();
  CHECK(child->wait_exit_blocking(kPatience)->signal == SIGKILL);
}
