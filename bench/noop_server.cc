// The HTTP server with a handler that does nothing: what a request costs before any work. Prints
// its port and serves until it is ended.
#include <cstdio>

#include "net/server.h"

using namespace nimbus;

namespace {

Task<net::Response> accept_and_forget(net::Request&) { co_return net::Response::empty(202); }

}  // namespace

int main() {
  net::Loop loop;
  net::Router router;
  router.post("/webhooks/github", accept_and_forget, {.body_bytes_max = size_t{25} << 20});
  auto server = net::Server::listen(loop, std::move(router), {});
  if (!server) {
    std::fprintf(stderr, "%s\n", server.error().message.c_str());
    return 1;
  }
  std::printf("port %d\n", (*server)->port());
  std::fflush(stdout);
  loop.run();
  return 0;
}
