// nftables through its library: a ruleset text in, applied whole or not at all, in the calling
// thread's network namespace. Threads: any, one at a time inside (the library's parser is not ours
// to trust with two).
#pragma once

#include <string>

#include "base/result.h"

namespace nimbus::os {

// internal: the kernel or the parser refused; the message carries the library's own.
Result<void> run_nft(const std::string& ruleset);
// The JSON answer to a listing command.
Result<std::string> list_nft(const std::string& command);

}  // namespace nimbus::os
