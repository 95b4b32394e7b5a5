// Shell completion, made from the table of commands. Threads: pure functions.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "cli/command.h"

namespace nimbus::cli {

// The script for bash, zsh or fish. bad_request: another shell.
Result<std::string> completion_script(std::span<const Command> commands, std::string_view shell);

}  // namespace nimbus::cli
