// Where an installation's files are: beside the program (a build tree), under ../share/nimbus and
// ../lib/nimbus of it (an installed package), or where the configuration says.
//
// Threads: start-up only (looks at the disk).
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "cli/config.h"

namespace nimbus::cli {

struct Installation {
  std::string program;                      // this executable, absolute
  std::string kernel, initramfs;            // "" when none is found
  std::string libchdb;                      // "" when none is found
  std::vector<std::string> image_archives;  // folders, existing ones only
};

// What is there. bad_request: the configuration names a file that is not.
Result<Installation> find_installation(const Config& config);

}  // namespace nimbus::cli
