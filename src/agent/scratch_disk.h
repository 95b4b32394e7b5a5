// The writable disk of a VM: a sparse ext4 file. Making a file system takes a tenth of a second,
// copying a sparse one a few milliseconds, so each size is made once and copied from then on.
//
// Threads: any, but one at a time per directory; calls block.
#pragma once

#include <string>

#include "base/result.h"

namespace nimbus::agent {

// Makes `path` an empty file system of `size_mb`, with the templates kept in `template_directory`.
// unavailable: the disk is full, or mkfs.ext4 is not installed.
Result<void> make_scratch_disk(const std::string& template_directory, int size_mb,
                               const std::string& path);

}  // namespace nimbus::agent
