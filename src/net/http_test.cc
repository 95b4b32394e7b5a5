#include "net/http.h"

#include <doctest/doctest.h>

#include "base/encoding.h"
#include "base/json.h"
#include "net/client.h"

using namespace nimbus;
using namespace nimbus::net;

TEST_CASE("header names compare without case and set replaces all") {
  Headers headers{{"Content-Type", "a"}, {"X-A", "1"}, {"x-a", "2"}};
  CHECK(headers.find("content-type") == "a");
  CHECK(headers.count("X-a") == 2);
  headers.set("X-A", "3");
  CHECK(headers.count("x-a") == 1);
  CHECK(headers.find("X-A") == "3");
  headers.set("Copy", *headers.find("X-A"));
  CHECK(headers.find("copy") == "3");
  headers.remove("x-a");
  CHECK(!headers.find("X-A"));
}

TEST_CASE("the bearer token and a cookie are found") {
  Request request;
  request.headers.add("Authorization", "bearer  abc ");
  request.headers.add("Cookie", "a=1; nimbus_session=xyz==; b=2");
  CHECK(request.bearer() == "abc");
  CHECK(request.cookie("nimbus_session") == "xyz==");
  CHECK(!request.cookie("session"));
  request.headers.set("Authorization", "Basic abc");
  CHECK(!request.bearer());
}

TEST_CASE("a problem document carries the error's text, hint and code") {
  const Response response =
      problem(Error{Code::conflict, "the \"fence\" is old", "stop"}, "stale-fence");
  CHECK(response.status == 409);
  CHECK(response.headers.find("Content-Type") == "application/problem+json");
  CHECK(response.body ==
        "{\"type\":\"about:blank\",\"title\":\"Conflict\",\"status\":409,\"detail\":\"the "
        "\\\"fence\\\" is "
        "old\",\"hint\":\"stop\",\"code\":\"stale-fence\"}\n");
}

TEST_CASE("a problem document is UTF-8 also when it quotes bytes that are not") {
  const Response response = problem(Error{Code::bad_request, "not \xc3", "cut \xe2\x82"});
  CHECK(is_utf8(response.body));
  CHECK(response.body.find("not \xef\xbf\xbd\"") != std::string::npos);
}

TEST_CASE("a refusal for now says when to come back") {
  CHECK(problem(Error{Code::unavailable, "x"}).headers.find("Retry-After") == "1");
  CHECK(problem(429, "x").headers.find("Retry-After") == "1");
  CHECK(!problem(400, "x").headers.find("Retry-After"));
}

TEST_CASE("percent coding goes both ways") {
  CHECK(percent_encode("a b/%~\xC3\xA4") == "a%20b%2F%25~%C3%A4");
  CHECK(percent_decode("a%20b%2F%25~%C3%A4") == "a b/%~\xC3\xA4");
  CHECK(percent_decode("a+b") == "a+b");
  CHECK(percent_decode("a+b", true) == "a b");
  CHECK(percent_decode("100%") == "100%");
  CHECK(percent_decode("%zz%4") == "%zz%4");
}

TEST_CASE("an event of several lines is read back as it was") {
  const std::string text = sse_event("line", "first\nsecond\r\nthird\rfourth", "7");
  CHECK(text == "event: line\nid: 7\ndata: first\ndata: second\ndata: third\ndata: fourth\n\n");
  SseParser parser;
  const auto events = parser.feed(text);
  REQUIRE(events.size() == 1);
  CHECK(events[0].event == "line");
  CHECK(events[0].id == "7");
  CHECK(events[0].data == "first\nsecond\nthird\nfourth");
}

TEST_CASE("events are found however the bytes are cut") {
  const std::string text =
      "\xEF\xBB\xBF: comment\r\nid: 1\r\ndata: a\r\ndata:b\r\n\r\nevent: end\rdata\r\r\n"
      "event: no data\n\ndata: last, never ended\n";
  for (size_t size = 1; size < text.size(); ++size) {
    SseParser parser;
    std::vector<SseParser::Event> events;
    for (size_t at = 0; at < text.size(); at += size) {
      for (auto& event : parser.feed(std::string_view(text).substr(at, size)))
        events.push_back(event);
    }
    REQUIRE(events.size() == 2);
    CHECK(events[0].event == "message");
    CHECK(events[0].data == "a\nb");
    CHECK(events[0].id == "1");
    CHECK(events[1].event == "end");
    CHECK(events[1].data.empty());
    CHECK(events[1].id == "1");
  }
}

TEST_CASE("a line without end does not grow the parser without end") {
  SseParser parser;
  const std::string piece(size_t{1} << 20, 'x');
  for (int i = 0; i < 6; ++i) CHECK(parser.feed(piece).empty());
  parser.feed("\n");
  const auto events = parser.feed("data: ok\n\n");
  REQUIRE(events.size() == 1);
  CHECK(events[0].data == "ok");
}
