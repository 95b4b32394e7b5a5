#include "cli/commands.h"

#include <iterator>

namespace nimbus::cli {

std::vector<Command> all_commands() {
  std::vector<Command> all;
  // In the order of the overview: first what a newcomer types, then nouns, then the operator's
  // tools.
  for (auto* file :
       {up_commands, run_commands, job_commands, log_commands, eval_commands, agent_commands,
        image_commands, cache_commands, cache_fsck_commands, artifact_commands, repository_commands,
        org_commands, token_commands, webhook_commands, migrate_commands, config_commands,
        doctor_commands, completion_commands, engine_commands}) {
    auto commands = file();
    all.insert(all.end(), std::make_move_iterator(commands.begin()),
               std::make_move_iterator(commands.end()));
  }
  return all;
}

}  // namespace nimbus::cli
