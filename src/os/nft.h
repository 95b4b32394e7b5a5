// nftables through its command: a ruleset text in, applied whole or not at all, in the calling
// thread's network namespace. The command rather than its library: the library is GPL-2.0, which a
// binary under Apache-2.0 cannot be linked with, and its parser does not need to run in this
// process. It costs some 15 ms a call, so slots are made ahead of need.
//
// Threads: any that may block.
#pragma once

#include <string>

#include "base/result.h"

namespace nimbus::os {

// not_found: no `nft` on this machine. internal: the kernel or the parser refused; the message
// carries the command's own.
Result<void> run_nft(const std::string& ruleset);
// The JSON answer to a listing command.
Result<std::string> list_nft(const std::string& command);

}  // namespace nimbus::os
