#include "base/result.h"

#include <cstring>

namespace nimbus {
namespace {

struct CodeRow {
  std::string_view name;
  int status;
};

CodeRow row(Code code) {
  switch (code) {
    case Code::bad_request: return {"bad_request", 400};
    case Code::unauthenticated: return {"unauthenticated", 401};
    case Code::forbidden: return {"forbidden", 403};
    case Code::not_found: return {"not_found", 404};
    case Code::conflict: return {"conflict", 409};
    case Code::too_large: return {"too_large", 413};
    case Code::too_many_requests: return {"too_many_requests", 429};
    case Code::unavailable: return {"unavailable", 503};
    case Code::insufficient_storage: return {"insufficient_storage", 507};
    case Code::corrupt: return {"corrupt", 500};
    case Code::internal: return {"internal", 500};
  }
  return {"internal", 500};
}

}  // namespace

std::string_view to_string(Code code) { return row(code).name; }
int http_status(Code code) { return row(code).status; }

Error Error::in(std::string_view context) && {
  message.insert(0, std::string(context) + ": ");
  return std::move(*this);
}

Error errno_error(std::string_view what, int error_number) {
  return Error{Code::internal, std::string(what) + ": " + std::strerror(error_number), {}};
}

}  // namespace nimbus
