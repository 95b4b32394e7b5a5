#include "cli/completion.h"

#include <set>

namespace nimbus::cli {
namespace {

std::string options_line(const Command& command) {
  std::string out;
  for (const Option& option : options_of(command)) {
    if (!option.name.empty()) out += std::string(option.name) + " ";
  }
  return out + "--help";
}

std::string words_line(Choices choices) {
  std::string out;
  if (choices == nullptr) return out;
  for (const auto word : choices()) out += (out.empty() ? "" : " ") + std::string(word);
  return out;
}

// "FILE", "DIR", "[IMAGE...]": whether a file of this machine is meant.
bool names_file(std::string_view word) {
  return word.find("FILE") != word.npos || word.find("DIR") != word.npos;
}

bool takes_files(const Command& command) {
  for (const auto word : command.words) {
    if (names_file(word)) return true;
  }
  return false;
}

std::string nouns_line(std::span<const Command> commands) {
  std::set<std::string_view> nouns;
  for (const Command& command : commands) {
    if (!command.hidden) nouns.insert(command.noun);
  }
  std::string out;
  for (const auto noun : nouns) out += (out.empty() ? "" : " ") + std::string(noun);
  return out;
}

std::string verbs_line(std::span<const Command> commands, std::string_view noun) {
  std::string out;
  for (const Command& command : commands) {
    if (command.noun != noun || command.verb.empty() || command.hidden) continue;
    out += (out.empty() ? "" : " ") + std::string(command.verb);
  }
  return out;
}

// What may come after an option that takes a value.
std::string bash_value_cases(const Command& command) {
  std::string out;
  for (const Option& option : options_of(command)) {
    if (option.name.empty() || option.value.empty()) continue;
    out += "          " + std::string(option.name) + ") ";
    if (option.choices != nullptr) out += "known='" + words_line(option.choices) + "' ";
    if (names_file(option.value)) out += "files=yes ";
    out += ";;\n";
  }
  return out;
}

std::string bash_command_case(const Command& command) {
  std::string out = "      '" + std::string(command.noun) + " ";
  out += command.verb.empty() ? "'*)" : std::string(command.verb) + "')";
  out += "\n        case $before in\n" + bash_value_cases(command) + "          *) options='" +
         options_line(command) + "'";
  if (command.word_choices != nullptr) out += " known='" + words_line(command.word_choices) + "'";
  if (takes_files(command)) out += " files=yes";
  return out + " ;;\n        esac ;;\n";
}

constexpr std::string_view kBashBegin =
    "# nimbus: completion for bash\n"
    "_nimbus() {\n"
    "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
    "  local known= options= files= at\n"
    "  # bash takes --role=viewer for three words\n"
    "  if [ \"$word\" = = ]; then word=\n"
    "  elif [ \"$before\" = = ]; then before=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
    "  for ((at = 1; at < COMP_CWORD; at++)); do\n"
    "    # the job's own command\n"
    "    if [ \"${COMP_WORDS[at]}\" = -- ]; then COMPREPLY=($(compgen -f -- \"$word\")); return; "
    "fi\n"
    "  done\n"
    "  local command=\"${COMP_WORDS[1]} ${COMP_WORDS[2]}\"\n"
    "  [ \"$COMP_CWORD\" -eq 2 ] && command=\"${COMP_WORDS[1]} \"\n"
    "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n";

constexpr std::string_view kBashEnd =
    "    esac\n"
    "  fi\n"
    "  [[ $word == -* ]] && { known=$options; files=; }\n"
    "  [ -z \"$known$files\" ] && known=$options\n"
    "  COMPREPLY=($(compgen -W \"$known\" -- \"$word\"))\n"
    "  [ -z \"$files\" ] || COMPREPLY+=($(compgen -f -- \"$word\"))\n"
    "}\n"
    "complete -F _nimbus nimbus\n";

// The same function serves zsh, through its bashcompinit.
std::string bash_script(std::span<const Command> commands) {
  std::string out = std::string(kBashBegin) + "    known='" + nouns_line(commands) +
                    "'\n  else\n    case $command in\n";
  std::set<std::string_view> nouns;
  for (const Command& command : commands) {
    if (command.hidden) continue;
    if (!command.verb.empty()) nouns.insert(command.noun);
    out += bash_command_case(command);
  }
  for (const auto noun : nouns) {
    out += "      '" + std::string(noun) + " ') known='" + verbs_line(commands, noun) + "' ;;\n";
  }
  return out.append(kBashEnd);
}

std::string fish_quote(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\n') {
      out += ' ';
      continue;
    }
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

std::string fish_value(const Option& option) {
  if (option.value.empty()) return "";
  if (option.choices != nullptr) return " -x -a " + fish_quote(words_line(option.choices));
  return names_file(option.value) ? " -r -F" : " -x";
}

std::string fish_script(std::span<const Command> commands) {
  std::string out = "# nimbus: completion for fish\ncomplete -c nimbus -f\n";
  out +=
      "complete -c nimbus -n __fish_use_subcommand -a " + fish_quote(nouns_line(commands)) + "\n";
  for (const Command& command : commands) {
    if (command.hidden) continue;
    std::string where = "__fish_seen_subcommand_from " + std::string(command.noun);
    if (!command.verb.empty()) {
      out += "complete -c nimbus -n '" + where + "' -a " + fish_quote(command.verb) + " -d " +
             fish_quote(command.summary) + "\n";
      where += "; and __fish_seen_subcommand_from " + std::string(command.verb);
    }
    const std::string start = "complete -c nimbus -n '" + where + "'";
    if (command.word_choices != nullptr) {
      out += start + " -a " + fish_quote(words_line(command.word_choices)) + "\n";
    }
    if (takes_files(command)) out += start + " -F\n";
    for (const Option& option : options_of(command)) {
      if (option.name.empty()) continue;
      out += start + " -l " + std::string(option.name.substr(2)) + fish_value(option) + " -d " +
             fish_quote(option.meaning) + "\n";
    }
  }
  return out;
}

}  // namespace

Result<std::string> completion_script(std::span<const Command> commands, std::string_view shell) {
  if (shell == "bash") return bash_script(commands);
  if (shell == "zsh")
    return "autoload -U +X bashcompinit && bashcompinit\n" + bash_script(commands);
  if (shell == "fish") return fish_script(commands);
  return fail(Code::bad_request, "there is no completion for '" + std::string(shell) + "'",
              "bash, zsh and fish are known");
}

}  // namespace nimbus::cli
