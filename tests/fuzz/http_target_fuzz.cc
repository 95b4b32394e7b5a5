// Request targets and URLs from outside. What parse_target accepts is a path that stays inside its
// folder, whatever way it was written, and routing it never goes wrong.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "net/http.h"
#include "net/router.h"
#include "net/target.h"
#include "net/url.h"

using namespace nimbus;
using namespace nimbus::net;

namespace {

Router make_router() {
  const Handler nothing = [](Request&) -> Task<Response> { co_return Response::empty(204); };
  Router router;
  for (const char* pattern :
       {"/", "/a", "/a/{b}", "/a/{b}/c", "/{x}/{y}/{z}", "/files/{path...}"}) {
    router.get(pattern, nothing);
  }
  return router;
}

void check(bool good) {
  if (!good) std::abort();
}

void check_path(const std::string& path) {
  check(path.starts_with('/') && path.find("//") == std::string::npos);
  check(path.find('\0') == std::string::npos);
  const std::string closed = path + "/";
  check(closed.find("/../") == std::string::npos && closed.find("/./") == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Router kRouter = make_router();
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  Target target;
  if (parse_target(input, target)) {
    check_path(target.path);
    const RouteMatch match = kRouter.match("GET", target.raw_path);
    for (const auto& [name, value] : match.parameters) check_path("/" + value);
  }
  if (const auto url = parse_url(input)) {
    check(url->target.starts_with('/') && url->port != 0);
    check(url->target.find_first_of("\r\n ") == std::string::npos);
  }
  check(percent_decode(percent_encode(input)) == input);
  return 0;
}
