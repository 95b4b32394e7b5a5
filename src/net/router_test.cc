#include "net/router.h"

#include <doctest/doctest.h>

using namespace nimbus;
using namespace nimbus::net;

namespace {

Handler nothing() {
  return [](Request&) -> Task<Response> { co_return Response::empty(204); };
}

Router jobs_router() {
  Router router;
  router.get("/jobs", nothing());
  router.post("/jobs", nothing());
  router.get("/jobs/search", nothing());
  router.get("/jobs/{id}", nothing());
  router.del("/jobs/{id}", nothing());
  router.get("/jobs/{id}/logs", nothing());
  router.get("/files/{path...}", nothing());
  router.get("/v2/", nothing());
  return router;
}

}  // namespace

TEST_CASE("a literal segment beats a parameter") {
  const Router router = jobs_router();
  CHECK(router.match("GET", "/jobs/search").pattern == "/jobs/search");
  CHECK(router.match("GET", "/jobs/12").pattern == "/jobs/{id}");
}

TEST_CASE("a parameter answers where the literal route has no such method") {
  const Router router = jobs_router();
  CHECK(router.match("DELETE", "/jobs/search").pattern == "/jobs/{id}");
}

TEST_CASE("a literal that leads nowhere falls back to the parameter") {
  const Router router = jobs_router();
  const RouteMatch match = router.match("GET", "/jobs/search/logs");
  CHECK(match.pattern == "/jobs/{id}/logs");
  CHECK(match.parameters.at(0).second == "search");
}

TEST_CASE("a parameter is decoded and an escaped slash stays in it") {
  const Router router = jobs_router();
  CHECK(router.match("GET", "/jobs/a%2Fb%20c").parameters.at(0).second == "a/b c");
}

TEST_CASE("a rest parameter takes the rest, also when it is empty") {
  const Router router = jobs_router();
  CHECK(router.match("GET", "/files/a/b/c.txt").parameters.at(0).second == "a/b/c.txt");
  CHECK(router.match("GET", "/files/").parameters.at(0).second.empty());
  CHECK(router.match("GET", "/files").status == 404);
}

TEST_CASE("a trailing slash is another path") {
  const Router router = jobs_router();
  CHECK(router.match("GET", "/jobs/").status == 404);
  CHECK(router.match("GET", "/v2/").status == 200);
  CHECK(router.match("GET", "/v2").status == 404);
}

TEST_CASE("another method gets 405 and every method of the path") {
  const Router router = jobs_router();
  const RouteMatch match = router.match("PUT", "/jobs");
  CHECK(match.status == 405);
  CHECK(match.allow == "GET, HEAD, POST");
  CHECK(match.handler == nullptr);
}

TEST_CASE("HEAD is GET's") {
  const Router router = jobs_router();
  CHECK(router.match("HEAD", "/jobs").handler != nullptr);
  CHECK(router.match("HEAD", "/jobs").pattern == "/jobs");
}

TEST_CASE("the fallback answers unknown paths, not unknown methods") {
  Router router = jobs_router();
  router.fallback(nothing());
  CHECK(router.match("GET", "/nowhere").handler != nullptr);
  CHECK(router.match("PUT", "/jobs").status == 405);
}

TEST_CASE("routes lists every method and pattern") { CHECK(jobs_router().routes().size() == 8); }
