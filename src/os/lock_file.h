// One process at a time: an flock held as long as this object (and the process) lives, with the
// holder's pid as the file's text. The kernel frees it when the holder dies, however it dies.
//
// Threads: any.
#pragma once

#include <string>

#include "base/result.h"
#include "os/unique_fd.h"

namespace nimbus::os {

class LockFile {
 public:
  // conflict: another process holds it; the message names its pid.
  static Result<LockFile> acquire(const std::string& path);

 private:
  explicit LockFile(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace nimbus::os
