#include "dashboard/static_files.h"

#include <doctest/doctest.h>

#include <array>

using namespace nimbus;
using namespace nimbus::dashboard;

namespace {

constexpr std::array<EmbeddedFile, 3> kFiles = {{
    {"/index.html", "<page>", "page-gz", ""},
    {"/assets/app-1a2b.js", "script", "script-gz", "script-br"},
    {"/favicon.svg", "<svg/>", "", ""},
}};

net::Request browser_asks(std::string path, std::string_view accept_encoding = "") {
  net::Request request;
  request.method = "GET";
  request.path = std::move(path);
  request.headers.set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");
  if (!accept_encoding.empty()) request.headers.set("Accept-Encoding", accept_encoding);
  return request;
}

std::string header(const net::Response& response, std::string_view name) {
  return std::string(response.headers.find(name).value_or("(none)"));
}

}  // namespace

TEST_CASE("a path of the page's own gets the page, which must be asked for again") {
  const StaticFiles files(kFiles);
  for (const char* path : {"/", "/jobs", "/jobs/12", "/sign-in", "/no/such/page"}) {
    const net::Response page = files.answer(browser_asks(path));
    CHECK(page.status == 200);
    CHECK(page.body == "<page>");
    CHECK(header(page, "Content-Type") == "text/html; charset=utf-8");
    CHECK(header(page, "Cache-Control") == "no-cache");
  }
}

TEST_CASE("the page's paths answer whoever takes anything, as curl does") {
  const StaticFiles files(kFiles);
  for (const char* accept : {"*/*", "", "text/*", "application/json, */*;q=0.1", "TEXT/HTML"}) {
    net::Request curl = browser_asks("/jobs/12");
    curl.headers.set("Accept", accept);
    CHECK_MESSAGE(files.answer(curl).body == "<page>", accept);
  }
  net::Request plain;
  plain.method = "GET";
  plain.path = "/jobs/12";
  CHECK(files.answer(plain).status == 200);
}

TEST_CASE("a program that wants no HTML, and every API path, gets a problem instead of the page") {
  const StaticFiles files(kFiles);
  net::Request program = browser_asks("/jobs");
  program.headers.set("Accept", "application/json");
  CHECK(files.answer(program).status == 404);
  for (const char* path : {"/api", "/api/v1/job", "/v2/x", "/v1/logs", "/webhooks/gitlab",
                           "/_apis/x", "/twirp/x", "/blobs/x", "/assets/app-0000.js"}) {
    const net::Response answer = files.answer(browser_asks(path));
    CHECK_MESSAGE(answer.status == 404, path);
    CHECK(header(answer, "Content-Type") == "application/problem+json");
  }
  net::Request post = browser_asks("/jobs");
  post.method = "POST";
  CHECK(files.answer(post).status == 404);
}

TEST_CASE("a hashed asset may be kept for ever") {
  const net::Response asset = StaticFiles(kFiles).answer(browser_asks("/assets/app-1a2b.js"));
  CHECK(asset.body == "script");
  CHECK(header(asset, "Content-Type") == "text/javascript; charset=utf-8");
  CHECK(header(asset, "Cache-Control") == "public, max-age=31536000, immutable");
}

TEST_CASE("the best coding that the client takes is sent, and each has its own ETag") {
  const StaticFiles files(kFiles);
  const auto ask = [&](std::string_view codings) {
    return files.answer(browser_asks("/assets/app-1a2b.js", codings));
  };
  CHECK(ask("gzip, deflate, br").body == "script-br");
  CHECK(header(ask("gzip, deflate, br"), "Content-Encoding") == "br");
  CHECK(ask("GZIP").body == "script-gz");
  CHECK(ask("br;q=0, gzip;q=0.5").body == "script-gz");
  CHECK(ask("br;q=0.000,gzip;q=0").body == "script");
  CHECK(ask("identity").body == "script");
  CHECK(header(ask("identity"), "Content-Encoding") == "(none)");
  CHECK(header(ask("br"), "ETag") != header(ask("gzip"), "ETag"));
  CHECK(header(ask("br"), "Vary") == "Accept-Encoding");
  CHECK(files.answer(browser_asks("/favicon.svg", "gzip, br")).body == "<svg/>");
}

TEST_CASE("a client that has the file is told so without its bytes") {
  const StaticFiles files(kFiles);
  const std::string etag = header(files.answer(browser_asks("/")), "ETag");
  for (const std::string& sent : {etag, "W/" + etag, "\"old\", " + etag, std::string("*")}) {
    net::Request again = browser_asks("/");
    again.headers.set("If-None-Match", sent);
    const net::Response answer = files.answer(again);
    CHECK(answer.status == 304);
    CHECK(answer.body.empty());
    CHECK(header(answer, "ETag") == etag);
  }
  net::Request other = browser_asks("/", "gzip");
  other.headers.set("If-None-Match", etag);
  CHECK(files.answer(other).status == 200);
}

TEST_CASE("every file is sent with the headers that keep the page to itself") {
  const StaticFiles files(kFiles);
  for (const char* path : {"/", "/favicon.svg", "/assets/app-1a2b.js"}) {
    const net::Response answer = files.answer(browser_asks(path));
    const std::string policy = header(answer, "Content-Security-Policy");
    CHECK(policy.starts_with("default-src 'self';"));
    CHECK(policy.find("frame-ancestors 'none'") != std::string::npos);
    CHECK(policy.find("unsafe") == std::string::npos);
    CHECK(header(answer, "X-Content-Type-Options") == "nosniff");
    CHECK(header(answer, "Referrer-Policy") == "no-referrer");
  }
}

TEST_CASE("without the dashboard the page says how to build it") {
  const net::Response page = StaticFiles({}).answer(browser_asks("/"));
  CHECK(page.status == 503);
  CHECK(page.body.find("make build") != std::string::npos);
  CHECK(header(page, "Content-Type") == "text/html; charset=utf-8");
  CHECK(header(page, "Content-Security-Policy") != "(none)");
}

TEST_CASE("the files built into this program are whole") {
  const auto files = embedded_files();
  if (files.empty()) {
    MESSAGE("SKIPPED: the program was configured without web/dist");
    return;
  }
  net::Router router;
  add_dashboard_routes(router);
  CHECK(router.match("GET", "/jobs").handler != nullptr);
  const net::Response page = StaticFiles(files).answer(browser_asks("/"));
  CHECK(page.status == 200);
  CHECK(page.body.find("<div id=\"root\">") != std::string::npos);
  // What the page asks for is there.
  const size_t script = page.body.find("/assets/");
  const std::string path = page.body.substr(script, page.body.find('"', script) - script);
  CHECK_MESSAGE(StaticFiles(files).answer(browser_asks(path)).status == 200, path);
}
