#include <doctest/doctest.h>

#include "net/client.h"
#include "net/server.h"

using namespace nimbus;
using namespace nimbus::net;

TEST_CASE("a request is answered by the route's handler") {
  Loop loop;
  Router router;
  router.post("/echo/{name}", [](Request& request) -> Task<Response> {
    co_return Response::text(200, request.parameter("name") + ":" + request.body);
  });
  auto server = Server::listen(loop, std::move(router), {});
  REQUIRE(server);
  Client client(loop);
  std::string body;
  loop.spawn(
      [](Client& c, Loop& l, uint16_t port, std::string& out) -> Task<void> {
        ClientRequest request;
        request.method = "POST";
        request.url = "http://127.0.0.1:" + std::to_string(port) + "/echo/a%2Fb";
        request.body = "hello";
        auto answer = co_await c.send(std::move(request));
        out = answer ? answer->body : answer.error().message;
        l.stop();
      }(client, loop, (*server)->port(), body),
      "test");
  loop.run();
  CHECK(body == "a/b:hello");
}
