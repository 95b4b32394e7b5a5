#include "cli/command.h"

#include <charconv>
#include <cstdio>

#include "base/text.h"
#include "cli/option_checks.h"

namespace nimbus::cli {
namespace {

constexpr std::string_view kProgram = "nimbus";

const std::vector<Option>& common_options() {
  static const std::vector<Option> options = {
      {"", "", "server"},
      {"--server", "URL", "Nimbus server (default $NIMBUS_SERVER, else http://127.0.0.1:8080)"},
      {"--json", "", "Print JSON for scripts"},
  };
  return options;
}

std::string title(const Command& command) {
  std::string out = std::string(kProgram) + " " + std::string(command.noun);
  if (!command.verb.empty()) out += " " + std::string(command.verb);
  return out;
}

std::string usage_line(const Command& command) {
  std::string out = title(command);
  if (!options_of(command).empty()) out += " [options]";
  for (const auto word : command.words) out += " " + std::string(word);
  if (command.takes_rest) out += " -- CMD...";
  return out;
}

void pad(std::string& line, size_t width) { line.resize(std::max(width, line.size() + 2), ' '); }

std::string suggestion(std::string_view word, std::span<const std::string_view> known) {
  const std::string_view guess = nearest(word, known);
  if (!guess.empty()) return "did you mean '" + std::string(guess) + "'?";
  if (known.empty()) return "there are none";
  std::string all = "one of";
  for (const std::string_view one : known) {
    all += (one == known.front() ? " " : ", ") + std::string(one);
  }
  return all;
}

std::vector<std::string_view> nouns_of(std::span<const Command> commands) {
  std::vector<std::string_view> nouns;
  for (const Command& command : commands) {
    if (!command.hidden && (nouns.empty() || nouns.back() != command.noun))
      nouns.push_back(command.noun);
  }
  return nouns;
}

std::vector<std::string_view> verbs_of(std::span<const Command> commands, std::string_view noun) {
  std::vector<std::string_view> verbs;
  for (const Command& command : commands) {
    if (command.noun == noun && !command.verb.empty()) verbs.push_back(command.verb);
  }
  return verbs;
}

const Command* find_command(std::span<const Command> commands, std::string_view noun,
                            std::string_view verb) {
  for (const Command& command : commands) {
    if (command.noun == noun && command.verb == verb) return &command;
  }
  return nullptr;
}

int refuse(const std::string& message, const std::string& hint) {
  std::fputs((std::string(kProgram) + ": " + message + "\n").c_str(), stderr);
  if (!hint.empty()) std::fprintf(stderr, "hint: %s\n", hint.c_str());
  return kExitUsage;
}

bool wants_help(std::span<const std::string> words) {
  for (const std::string& word : words) {
    if (word == "--") return false;
    if (word == "--help" || word == "-h") return true;
  }
  return false;
}

int print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  return kExitDone;
}

int run_one(const Command& command, std::span<const std::string> words) {
  if (wants_help(words)) return print(command_help(command));
  const auto arguments = parse_arguments(command, words);
  if (!arguments) {
    const std::string hint = arguments.error().hint.empty()
                                 ? "'" + title(command) + " --help' shows how"
                                 : arguments.error().hint;
    return refuse(title(command).substr(kProgram.size() + 1) + ": " + arguments.error().message,
                  hint);
  }
  return command.run(*arguments);
}

}  // namespace

std::vector<Option> options_of(const Command& command) {
  std::vector<Option> options = command.options;
  if (command.talks_to_server) {
    options.insert(options.end(), common_options().begin(), common_options().end());
  }
  return options;
}

struct Parser {
  const Command& command;
  const std::vector<Option> options;
  Arguments arguments = {};

  explicit Parser(const Command& c) : command(c), options(options_of(c)) {}

  const Option* find_option(std::string_view name) const {
    for (const Option& option : options) {
      if (option.name == name || (!option.short_name.empty() && option.short_name == name))
        return &option;
    }
    return nullptr;
  }

  tl::unexpected<Error> unknown_option(std::string_view name) const {
    std::vector<std::string_view> known;
    for (const Option& option : options) {
      if (!option.name.empty()) known.push_back(option.name);
    }
    return fail(Code::bad_request, "unknown option '" + std::string(name) + "'",
                suggestion(name, known));
  }

  // Takes the option at `at` and its value; the index of the next word.
  Result<size_t> take_option(std::span<const std::string> words, size_t at) {
    const std::string_view word = words[at];
    const size_t equals = word.starts_with("--") ? word.find('=') : std::string_view::npos;
    const std::string_view name = word.substr(0, equals);
    const Option* option = find_option(name);
    if (option == nullptr) return unknown_option(name);
    auto& values = arguments.options_[std::string(option->name)];
    if (!values.empty() && !option->repeats) {
      return fail(Code::bad_request, std::string(name) + " is given twice");
    }
    const bool has_value = equals != std::string_view::npos;
    if (option->value.empty()) {
      if (has_value) return fail(Code::bad_request, std::string(name) + " takes no value");
      values.emplace_back();
      return at + 1;
    }
    if (!has_value && at + 1 >= words.size()) {
      return fail(Code::bad_request, std::string(name) + " needs a value: " + std::string(name) +
                                         " " + std::string(option->value));
    }
    values.push_back(has_value ? std::string(word.substr(equals + 1)) : words[at + 1]);
    TRY(check_value(*option, values.back()));
    return at + (has_value ? 1 : 2);
  }

  static Result<void> check_value(const Option& option, const std::string& value) {
    if (option.check == nullptr && option.choices == nullptr) return {};
    auto good = option.check != nullptr ? option.check(value) : check_word(value, option.choices());
    if (good) return {};
    Error error = std::move(good).error();
    error.message = std::string(option.name) + " '" + value + "' " + error.message;
    return fail(std::move(error));
  }

  Result<void> check_words() const {
    size_t needed = 0;
    bool open_ended = false;
    for (const auto word : command.words) {
      if (!word.starts_with('[')) ++needed;
      open_ended = open_ended || word.find("...") != std::string_view::npos;
    }
    if (arguments.words_.size() < needed) {
      return fail(Code::bad_request,
                  std::string(command.words[arguments.words_.size()]) + " is missing",
                  "usage: " + usage_line(command));
    }
    if (!open_ended && arguments.words_.size() > command.words.size()) {
      return fail(Code::bad_request, "unexpected '" + arguments.words_[command.words.size()] + "'",
                  "usage: " + usage_line(command));
    }
    if (command.takes_rest && arguments.rest_.empty()) {
      return fail(Code::bad_request, "the command to run is missing",
                  "usage: " + usage_line(command));
    }
    return {};
  }

  Result<Arguments> parse(std::span<const std::string> words) {
    size_t at = 0;
    while (at < words.size()) {
      if (words[at] == "--" && command.takes_rest) {
        arguments.rest_.assign(words.begin() + static_cast<ptrdiff_t>(at) + 1, words.end());
        break;
      }
      if (words[at].size() > 1 && words[at].starts_with('-')) {
        at = TRY(take_option(words, at));
      } else {
        arguments.words_.push_back(words[at++]);
      }
    }
    TRY(check_words());
    return std::move(arguments);
  }
};

std::optional<std::string> Arguments::find(std::string_view option) const {
  const auto found = options_.find(std::string(option));
  if (found == options_.end()) return std::nullopt;
  return found->second.back();
}

std::vector<std::string> Arguments::all(std::string_view option) const {
  const auto found = options_.find(std::string(option));
  return found == options_.end() ? std::vector<std::string>() : found->second;
}

Result<std::optional<int64_t>> Arguments::find_integer(std::string_view option, int64_t min,
                                                       int64_t max) const {
  const auto text = find(option);
  if (!text) return std::nullopt;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size() || value < min || value > max) {
    return fail(Code::bad_request, std::string(option) + " '" + *text +
                                       "' is not a whole number from " + std::to_string(min) +
                                       " to " + std::to_string(max));
  }
  return value;
}

Result<Arguments> parse_arguments(const Command& command, std::span<const std::string> words) {
  return Parser(command).parse(words);
}

std::string command_help(const Command& command) {
  std::string out = std::string(command.summary) + "\n\n";
  if (!command.example.empty()) out += "  $ " + std::string(command.example) + "\n\n";
  out += "usage: " + usage_line(command) + "\n";
  const auto options = options_of(command);
  if (!options.empty() && !options.front().name.empty()) out += "\noptions:\n";
  for (const Option& option : options) {
    if (option.name.empty()) {
      out += "\n" + std::string(option.meaning) + ":\n";
      continue;
    }
    std::string line = "  ";
    if (!option.short_name.empty()) line += std::string(option.short_name) + ", ";
    line += std::string(option.name);
    if (!option.value.empty()) line += " " + std::string(option.value);
    pad(line, 28);
    out += line + std::string(option.meaning) + (option.repeats ? "; may be repeated" : "") + "\n";
  }
  if (!command.notes.empty()) out += "\n" + std::string(command.notes) + "\n";
  return out;
}

std::string noun_help(std::span<const Command> commands, std::string_view noun) {
  std::string out;
  for (const Command& command : commands) {
    if (command.noun != noun || command.hidden) continue;
    std::string line = "  " + title(command);
    for (const auto word : command.words) line += " " + std::string(word);
    pad(line, 36);
    out += line + std::string(command.summary) + "\n";
  }
  return out + "\n'" + std::string(kProgram) + " " + std::string(noun) +
         " VERB --help' tells more.\n";
}

std::string overview_help(std::span<const Command> commands) {
  std::string out =
      "Nimbus runs GitHub Actions jobs and AI-evaluation suites in microVMs.\n\n"
      "  $ nimbus up                               start everything on this machine\n"
      "  $ nimbus run -- sh -c 'echo hello'        run a command in a microVM\n\n"
      "commands:\n";
  for (const auto noun : nouns_of(commands)) {
    const auto verbs = verbs_of(commands, noun);
    std::string line = "  " + std::string(noun);
    pad(line, 14);
    if (verbs.empty()) {
      out += line + std::string(find_command(commands, noun, "")->summary) + "\n";
      continue;
    }
    for (size_t i = 0; i < verbs.size(); ++i) line += (i == 0 ? "" : "|") + std::string(verbs[i]);
    out += line + "\n";
  }
  return out + "\n'nimbus COMMAND --help' tells more. Documentation: docs/getting-started.md\n";
}

int complain(const Error& error) {
  std::fputs((std::string(kProgram) + ": " + error.message + "\n").c_str(), stderr);
  if (!error.hint.empty()) std::fprintf(stderr, "hint: %s\n", error.hint.c_str());
  return kExitFailed;
}

int run_command_line(std::span<const Command> commands, const std::vector<std::string>& words) {
  if (words.empty() || words[0] == "help" || words[0] == "--help" || words[0] == "-h") {
    return print(overview_help(commands));
  }
  const std::string& noun = words[0];
  const std::span rest = std::span(words).subspan(1);
  if (const Command* alone = find_command(commands, noun, "")) return run_one(*alone, rest);
  const auto verbs = verbs_of(commands, noun);
  if (verbs.empty()) {
    return refuse("unknown command '" + noun + "'", suggestion(noun, nouns_of(commands)));
  }
  if (rest.empty() || rest[0] == "--help" || rest[0] == "-h")
    return print(noun_help(commands, noun));
  if (const Command* command = find_command(commands, noun, rest[0]))
    return run_one(*command, rest.subspan(1));
  return refuse("unknown command '" + noun + " " + rest[0] + "'", suggestion(rest[0], verbs));
}

}  // namespace nimbus::cli
