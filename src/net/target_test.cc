#include "net/target.h"

#include <doctest/doctest.h>

#include "net/url.h"

using namespace nimbus;
using namespace nimbus::net;

namespace {

bool refused(std::string_view text) {
  Target target;
  return !parse_target(text, target);
}

}  // namespace

TEST_CASE("a target is decoded into path and query") {
  Target target;
  REQUIRE(parse_target("/a%20b/c?x=1&y=a+b%26c&flag&=v", target));
  CHECK(target.path == "/a b/c");
  CHECK(target.raw_path == "/a%20b/c");
  REQUIRE(target.query.size() == 4);
  CHECK(target.query[1] == std::pair<std::string, std::string>("y", "a b&c"));
  CHECK(target.query[2] == std::pair<std::string, std::string>("flag", ""));
}

TEST_CASE("the absolute form means the same path") {
  Target target;
  REQUIRE(parse_target("http://host:80/a/b?c=d", target));
  CHECK(target.path == "/a/b");
  REQUIRE(parse_target("http://host", target));
  CHECK(target.path == "/");
}

TEST_CASE("a path that hides where it leads is refused") {
  for (const char* text : {"/../a", "/a/..", "/a/.", "//a", "/a//", "/%2e%2E/a", "/a%2f%2fb",
                           "/a%2F../b", "/%2f", "/a%00", "/a%0a", "/a%7F"}) {
    CAPTURE(text);
    CHECK(refused(text));
  }
}

TEST_CASE("dots inside a longer name are a name") {
  CHECK(!refused("/..."));
  CHECK(!refused("/a..b/.hidden/v1.2"));
}

TEST_CASE("a bad escape or a control character is refused in the query too") {
  CHECK(refused("/a?x=%"));
  CHECK(refused("/a?x=%4"));
  CHECK(refused("/a?x=%4g"));
  CHECK(refused("/a?x=\x01"));
  CHECK(refused("/a#b"));
  CHECK(refused(""));
  CHECK(refused("a/b"));
}

TEST_CASE("a query has a bounded number of fields") {
  std::string text = "/a?";
  for (int i = 0; i < 300; ++i) text += "x=1&";
  CHECK(refused(text));
}

TEST_CASE("a URL is taken apart") {
  const auto url = parse_url("https://example.com:8443/a/b?c#d");
  REQUIRE(url);
  CHECK(url->tls);
  CHECK(url->host == "example.com");
  CHECK(url->port == 8443);
  CHECK(url->host_header == "example.com:8443");
  CHECK(url->target == "/a/b?c");
  CHECK(url->origin() == "https://example.com:8443");
  CHECK(parse_url("http://[::1]:80?x")->host == "::1");
  CHECK(parse_url("http://[::1]/")->origin() == "http://[::1]:80");
  CHECK(parse_url("http://[::1]:80?x")->target == "/?x");
  CHECK(parse_url("http+unix://%2Frun%2Fx.sock/ping")->socket_path == "/run/x.sock");
}

TEST_CASE("a URL that could not be sent as it stands is refused") {
  for (const char* text : {"", "example.com", "ftp://x/", "http://", "http://user@host/",
                           "http://x:0/", "http://x:70000/", "http://x:1x/", "http://x/a b",
                           "http://x/\r\nEvil: 1", "http://[::1/", "http+unix:///x"}) {
    CAPTURE(text);
    CHECK(!parse_url(text));
  }
}
