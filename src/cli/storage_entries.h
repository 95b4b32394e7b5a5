// What the blob library asks of the tables above it: entries of lost bytes are dropped, and entries
// and holds must match. The server and `nimbus cache fsck` share it.
//
// Threads: registered before the loop runs; the rest runs on a database thread.
#pragma once

#include <vector>

#include "blob/fsck.h"
#include "blob/losses.h"

namespace nimbus::cli {

void register_losses(blob::LossBook& losses);
// Entries nobody keeps the bytes of, and bytes kept for entries that are gone.
std::vector<blob::CheckEntries> entry_checks();

}  // namespace nimbus::cli
