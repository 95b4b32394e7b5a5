#include <csignal>

#include "cli/command.h"

int main(int argc, char** argv) {
  // A reader that goes away is an error of that write, not the end of the program.
  std::signal(SIGPIPE, SIG_IGN);
  const std::vector<nimbus::cli::Command> commands = nimbus::cli::all_commands();
  return nimbus::cli::run_command_line(commands, std::vector<std::string>(argv + 1, argv + argc));
}
