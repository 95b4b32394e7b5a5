// The commands of each file, put together in all_commands().
#pragma once

#include <vector>

#include "cli/command.h"

namespace nimbus::cli {

std::vector<Command> up_commands();   // up, serve
std::vector<Command> run_commands();  // run
std::vector<Command> job_commands();
std::vector<Command> agent_commands();
std::vector<Command> image_commands();
std::vector<Command> cache_commands();
std::vector<Command> artifact_commands();
std::vector<Command> repository_commands();
std::vector<Command> org_commands();
std::vector<Command> cache_fsck_commands();
std::vector<Command> token_commands();
std::vector<Command> log_commands();
std::vector<Command> eval_commands();
std::vector<Command> webhook_commands();
std::vector<Command> migrate_commands();
std::vector<Command> config_commands();
std::vector<Command> doctor_commands();
std::vector<Command> completion_commands();
std::vector<Command> engine_commands();  // the embedded ClickHouse process, hidden

}  // namespace nimbus::cli
