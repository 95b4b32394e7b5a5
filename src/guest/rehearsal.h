// A job for nobody, run while the machine waits: a shell of the image that prints one line, through
// every piece of code that the first line of a real job passes. Afterwards the shell's pages are in
// memory, and under emulation the code has been translated, which is most of a first line's time.
//
// Threads: one. What fails is passed over: the real job will say it.
#pragma once

#include <string>

#include "guest/accounts.h"

namespace nimbus::guest {

void rehearse(const std::string& cgroup, const Account& account, const std::string& workdir);

}  // namespace nimbus::guest
