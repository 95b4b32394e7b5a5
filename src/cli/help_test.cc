// Every command's help, as people see it. NIMBUS_GOLDEN=update writes the file anew.
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>

#include "cli/command.h"
#include "cli/completion.h"

using namespace nimbus::cli;

namespace {

const std::string kGolden = std::string(NIMBUS_SOURCE_DIR) + "/tests/golden/help.txt";

std::string everything() {
  const auto commands = all_commands();
  std::string out = overview_help(commands);
  for (const Command& command : commands) {
    if (!command.hidden) out += "\n────────\n" + command_help(command);
  }
  return out;
}

std::string read(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("the help of every command is as in tests/golden/help.txt") {
  const char* golden = getenv("NIMBUS_GOLDEN");
  if (golden != nullptr && std::string_view(golden) == "update")
    std::ofstream(kGolden) << everything();
  CHECK(everything() == read(kGolden));
}

TEST_CASE("every command says what it does in one line and has an example that is its own") {
  for (const Command& command : all_commands()) {
    if (command.hidden) continue;
    CAPTURE(command.noun);
    CAPTURE(command.verb);
    CHECK(!command.summary.empty());
    CHECK(command.summary.find('\n') == std::string_view::npos);
    std::string start = "nimbus " + std::string(command.noun);
    if (!command.verb.empty()) start += " " + std::string(command.verb);
    CHECK(command.example.find(start.substr(0, start.size())) != std::string_view::npos);
  }
}

TEST_CASE("every command that prints data can print it as JSON") {
  const std::set<std::string_view> without = {"up", "serve", "completion"};
  for (const Command& command : all_commands()) {
    if (command.hidden || without.contains(command.noun)) continue;
    CAPTURE(command.noun);
    CAPTURE(command.verb);
    bool found = false;
    for (const Option& option : options_of(command)) found = found || option.name == "--json";
    CHECK(found);
  }
}

TEST_CASE("docs/command-line.md tells what every command prints") {
  const std::string page = read(std::string(NIMBUS_SOURCE_DIR) + "/docs/command-line.md");
  for (const Command& command : all_commands()) {
    if (command.hidden) continue;
    std::string title = "`nimbus " + std::string(command.noun);
    if (!command.verb.empty()) title += " " + std::string(command.verb);
    CAPTURE(title);
    CHECK(page.find(title + "`") != std::string::npos);
  }
}

TEST_CASE("no two commands and no two options of a command have the same name") {
  std::set<std::pair<std::string_view, std::string_view>> seen;
  for (const Command& command : all_commands()) {
    CHECK(seen.emplace(command.noun, command.verb).second);
    std::set<std::string_view> options;
    for (const Option& option : command.options) {
      CAPTURE(option.name);
      CHECK((option.name.empty() || options.insert(option.name).second));
    }
  }
}

TEST_CASE("no line of help is longer than 105 characters") {
  const std::string text = everything();
  for (size_t start = 0; start < text.size();) {
    const size_t end = text.find('\n', start);
    const std::string line = text.substr(start, end - start);
    CAPTURE(line);
    CHECK(line.size() <= 105);
    start = end + 1;
  }
}

TEST_CASE("completion knows every noun, verb and option in three shells") {
  const auto commands = all_commands();
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const auto script = completion_script(commands, shell);
    REQUIRE(script.has_value());
    for (const char* word : {"webhook", "drain", "move-times", "server"}) {
      CAPTURE(shell);
      CAPTURE(word);
      CHECK(script->find(word) != std::string::npos);
    }
  }
  CHECK(!completion_script(commands, "tcsh").has_value());
}
