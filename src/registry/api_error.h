// Refusals as OCI distribution 1.1 writes them: {"errors":[{"code","message","detail"?}]}.
// Threads: pure functions.
#pragma once

#include <string_view>

#include "base/result.h"
#include "net/http.h"

namespace nimbus::registry {

// `code` is one of the specification's: BLOB_UNKNOWN, NAME_UNKNOWN, …
net::Response api_error(int status, std::string_view code, std::string_view message,
                        std::string_view hint = {});
// An operating failure; `code` is used for what the client did wrong, the rest follows from the
// Error's own code (429 TOOMANYREQUESTS, 401 UNAUTHORIZED, 403 DENIED, …).
net::Response api_error(const Error& error, std::string_view code);

}  // namespace nimbus::registry
