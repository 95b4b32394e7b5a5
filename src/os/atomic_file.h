// Files that are whole or absent: written beside their place, flushed, renamed, and the rename
// flushed. After a crash a reader finds the old content or the new one, never a part.
//
// Threads: any; every call blocks on the disk.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace nimbus::os {

// unavailable: the disk is full; internal: the system refused. The old content stays in both cases.
Result<void> write_file_atomically(const std::string& path, std::string_view bytes,
                                   mode_t mode = 0600);
// not_found: absent; too_large: more than `bytes_max`.
Result<std::string> read_file(const std::string& path, size_t bytes_max);
// Makes the directory and its parents; an existing one keeps its mode. conflict: something that is
// not a directory stands there.
Result<void> make_directories(const std::string& path, mode_t mode = 0700);
// Removes a file or a whole tree without following symbolic links or leaving its file system.
// Absent is done.
Result<void> remove_tree(const std::string& path);

}  // namespace nimbus::os
