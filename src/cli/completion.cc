#include "cli/completion.h"

#include <set>

namespace nimbus::cli {
namespace {

std::string options_line(const Command& command) {
  std::string out;
  for (const Option& option : command.options) {
    if (!option.name.empty()) out += std::string(option.name) + " ";
  }
  if (command.talks_to_server) out += "--server --json ";
  return out + "--help";
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

// The same function serves zsh, through its bashcompinit.
std::string bash_script(std::span<const Command> commands) {
  std::string out =
      "# nimbus: completion for bash\n"
      "_nimbus() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} known=\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
      "    known='" +
      nouns_line(commands) +
      "'\n"
      "  else\n"
      "    case \"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in\n";
  std::set<std::string_view> nouns;
  for (const Command& command : commands) {
    if (command.hidden || command.verb.empty()) continue;
    nouns.insert(command.noun);
    out += "      '" + std::string(command.noun) + " " + std::string(command.verb) + "') known='" +
           options_line(command) + "' ;;\n";
  }
  for (const Command& command : commands) {
    if (command.hidden || !command.verb.empty()) continue;
    out +=
        "      '" + std::string(command.noun) + " '*) known='" + options_line(command) + "' ;;\n";
  }
  for (const auto noun : nouns) {
    out += "      '" + std::string(noun) + " '*) [ \"$COMP_CWORD\" -eq 2 ] && known='" +
           verbs_line(commands, noun) + "' ;;\n";
  }
  return out +
         "    esac\n"
         "  fi\n"
         "  if [ -n \"$known\" ] && { [ \"$COMP_CWORD\" -le 2 ] || [[ $word == -* ]]; }; then\n"
         "    COMPREPLY=($(compgen -W \"$known\" -- \"$word\"))\n"
         "  else\n"
         "    COMPREPLY=($(compgen -f -- \"$word\"))\n"
         "  fi\n"
         "}\n"
         "complete -F _nimbus nimbus\n";
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
    for (const Option& option : command.options) {
      if (option.name.empty()) continue;
      out += "complete -c nimbus -n '" + where + "' -l " + std::string(option.name.substr(2)) +
             (option.value.empty() ? "" : " -r") + " -d " + fish_quote(option.meaning) + "\n";
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
