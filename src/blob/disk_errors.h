// What the system says of a disk, as Errors. Private to this folder.
#pragma once

#include <cerrno>
#include <string_view>

#include "base/result.h"

namespace nimbus::blob {

// insufficient_storage: full; not_found: absent; internal: the rest.
inline Error disk_error(std::string_view what, int error_number) {
  Error error = errno_error(what, error_number);
  if (error_number == ENOSPC || error_number == EDQUOT) {
    error.code = Code::insufficient_storage;
    error.hint = "free disk space, or lower the quotas";
  } else if (error_number == ENOENT) {
    error.code = Code::not_found;
  }
  return error;
}

}  // namespace nimbus::blob
