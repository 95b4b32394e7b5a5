// The command line's grammar: `nimbus NOUN VERB [options] [arguments]`, or one word for the
// commands that stand alone (`up`, `run`, `doctor`). A command is a value in a table; parsing,
// help, errors with a suggestion and shell completion all come from the table.
//
// stdout is the result, stderr is talk; exit status 0 done, 1 failed, 2 wrong usage.
//
// Threads: one.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace nimbus::cli {

constexpr int kExitDone = 0;
constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

// Whether a value suits its option; the error's message goes on after "--limit 'x' ".
using OptionCheck = Result<void> (*)(std::string_view value);

// The words that a value may be, for completion, and for the check when there is no other.
using Choices = std::span<const std::string_view> (*)();

// An Option without a name is a heading above those that follow: {"", "", "resources"}.
struct Option {
  std::string_view name;             // "--timeout"
  std::string_view value;            // "SECONDS"; "" for a flag
  std::string_view meaning;          // with unit and default
  bool repeats = false;              // may be given more than once
  std::string_view short_name = {};  // "-f"
  OptionCheck check = nullptr;       // of a value, before the command runs (option_checks.h)
  Choices choices = nullptr;
};

// What was typed, checked against the command's table.
class Arguments {
 public:
  bool has(std::string_view option) const { return options_.contains(std::string(option)); }
  std::optional<std::string> find(std::string_view option) const;  // the last
  std::vector<std::string> all(std::string_view option) const;
  // A whole number within the bounds, or nullopt when not given. bad_request names the option.
  Result<std::optional<int64_t>> find_integer(std::string_view option, int64_t min,
                                              int64_t max) const;
  const std::vector<std::string>& words() const { return words_; }  // positional arguments
  const std::vector<std::string>& rest() const { return rest_; }    // after `--`

 private:
  friend struct Parser;
  std::map<std::string, std::vector<std::string>> options_;
  std::vector<std::string> words_;
  std::vector<std::string> rest_;
};

struct Command {
  std::string_view noun;          // "job", or the whole word of a command that stands alone
  std::string_view verb = {};     // "list", "" when it stands alone
  std::string_view summary;       // one line, imperative
  std::string_view example = {};  // shown first in its help
  std::vector<Option> options = {};
  std::vector<std::string_view> words = {};  // "ID", "[FILE]", "CMD..."
  Choices word_choices = nullptr;            // what each of `words` may be
  std::string_view notes = {};               // last in its help: exit statuses, what else to know
  bool takes_rest = false;                   // words after `--` belong to the job's command
  bool talks_to_server = false;              // adds --server, --json
  bool hidden = false;                       // for the program's own use
  std::function<int(const Arguments&)> run = {};
};

// Parses `words` (without the program's name), runs the command, gives its exit status. Prints help
// for `--help`, `help`, and a bare noun; one line for what is wrong.
int run_command_line(std::span<const Command> commands, const std::vector<std::string>& words);

// Those of `command`, and what every client command has.
std::vector<Option> options_of(const Command& command);

// For tests: the parsing alone. bad_request with a hint.
Result<Arguments> parse_arguments(const Command& command, std::span<const std::string> words);
std::string command_help(const Command& command);
std::string overview_help(std::span<const Command> commands);
std::string noun_help(std::span<const Command> commands, std::string_view noun);

// Prints `error` the house's way on stderr ("nimbus: message", "hint: …"); the exit status to use.
int complain(const Error& error);

// Every command of the program.
std::vector<Command> all_commands();

}  // namespace nimbus::cli
