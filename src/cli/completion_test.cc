// The completion script as bash runs it.
#include "cli/completion.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <fstream>

using namespace nimbus::cli;

namespace {

// What bash offers for the words of a command line, the last of which is being typed.
std::string offered(const std::string& words, int count) {
  const std::string file = "/tmp/nimbus-completion-test-" + std::to_string(::getpid());
  std::ofstream(file) << completion_script(all_commands(), "bash").value() << "COMP_WORDS=("
                      << words << "); COMP_CWORD=" << count - 1
                      << "; _nimbus; echo \"${COMPREPLY[*]}\"\n";
  FILE* shell = ::popen(("cd / && bash --norc " + file + " 2>&1").c_str(), "r");
  REQUIRE(shell != nullptr);
  std::string out;
  std::array<char, 512> piece;
  while (std::fgets(piece.data(), piece.size(), shell) != nullptr) out += piece.data();
  ::pclose(shell);
  ::unlink(file.c_str());
  return out.substr(0, out.find('\n'));
}

bool has(const std::string& list, const std::string& word) {
  return (" " + list + " ").find(" " + word + " ") != std::string::npos;
}

}  // namespace

TEST_CASE("an option whose values are known is completed with them") {
  CHECK(offered("nimbus token create --role ''", 5) == "viewer operator admin ingest");
  CHECK(offered("nimbus token create --role op", 5) == "operator");
  CHECK(offered("nimbus token create --role = ad", 6) == "admin");
  CHECK(offered("nimbus token create --role =", 5) == "viewer operator admin ingest");
  CHECK(offered("nimbus job list --state ti", 5) == "timed_out");
  CHECK(offered("nimbus log search --level w", 5) == "warn");
  CHECK(offered("nimbus cache list --kind ''", 5) == "actions plain");
  CHECK(offered("nimbus up --vmm q", 4) == "qemu");
}

TEST_CASE("an option whose value only the user knows is completed with nothing") {
  CHECK(offered("nimbus token create --org ''", 5).empty());
  CHECK(offered("nimbus job list --limit ''", 5).empty());
}

TEST_CASE("words of a command are completed with what they may be") {
  CHECK(offered("nimbus serve te", 3) == "telemetry");
  CHECK(offered("nimbus completion ''", 3) == "bash zsh fish");
  CHECK(offered("nimbus tok", 2) == "token");
  CHECK(offered("nimbus token ''", 3) == "create list revoke");
}

TEST_CASE("files are offered where a file or a folder is meant, and only there") {
  CHECK(has(offered("nimbus image import us", 4), "usr"));
  CHECK(has(offered("nimbus up --data us", 4), "usr"));
  CHECK(has(offered("nimbus run -- us", 4), "usr"));
  CHECK_FALSE(has(offered("nimbus job show us", 4), "usr"));
  CHECK_FALSE(has(offered("nimbus job list us", 4), "usr"));
}

TEST_CASE("options are offered once a dash is typed, the common ones too") {
  CHECK(has(offered("nimbus job list --", 4), "--state"));
  CHECK(has(offered("nimbus job list --", 4), "--server"));
  CHECK(has(offered("nimbus image import --", 4), "--name"));
  CHECK(offered("nimbus doctor ''", 3) == "--data --config --json --help");
}

TEST_CASE("fish knows the values too") {
  const auto script = completion_script(all_commands(), "fish");
  CHECK(script->find("-l role -x -a 'viewer operator admin ingest'") != std::string::npos);
  CHECK(script->find("-l data -r -F") != std::string::npos);
}
