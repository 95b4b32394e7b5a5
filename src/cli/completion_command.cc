// nimbus completion bash|zsh|fish
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/option_checks.h"
#include "cli/table.h"

namespace nimbus::cli {
namespace {

int completion(const Arguments& arguments) {
  const auto script = completion_script(all_commands(), arguments.words().at(0));
  if (!script) {
    complain(script.error());
    return kExitUsage;
  }
  print_out(*script);
  return kExitDone;
}

}  // namespace

std::vector<Command> completion_commands() {
  return {{.noun = "completion",
           .summary = "Print the completion script for bash, zsh or fish",
           .example = "source <(nimbus completion bash)",
           .words = {"SHELL"},
           .word_choices = shells,
           .run = completion}};
}

}  // namespace nimbus::cli
