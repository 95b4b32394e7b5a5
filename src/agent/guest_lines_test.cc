#include "agent/guest_lines.h"

#include <doctest/doctest.h>

#include <boost/json.hpp>

#include "agent/gateway.h"
#include "agent/guest_job.h"
#include "base/encoding.h"
#include "base/json.h"

using namespace nimbus;
using namespace nimbus::agent;

namespace {

std::string line(int64_t seq, const std::string& text = "x") {
  return to_ndjson({1, seq, model::LogStream::out, text, false});
}

Code refusal(const std::string& body, int64_t last_seq = 0) {
  const auto lines = read_new_lines(body, last_seq, false);
  REQUIRE_FALSE(lines);
  return lines.error().code;
}

}  // namespace

TEST_CASE("lines are taken once however often they are sent") {
  const std::string body = line(1) + line(2) + line(3);
  const auto all = read_new_lines(body, 0, false);
  REQUIRE(all);
  CHECK_EQ(all->ndjson, body);
  CHECK_EQ(all->count, 3);
  const auto rest = read_new_lines(body, 2, false);
  REQUIRE(rest);
  CHECK_EQ(rest->ndjson, line(3));
  CHECK_EQ(rest->last_seq, 3);
  const auto none = read_new_lines(body, 7, false);
  REQUIRE(none);
  CHECK_EQ(none->ndjson, "");
  CHECK_EQ(none->last_seq, 7);
}

TEST_CASE("a gap is a conflict, unless the agent has just restarted") {
  CHECK(refusal(line(3), 1) == Code::conflict);
  CHECK(refusal(line(1) + line(3)) == Code::bad_request);
  const auto lines = read_new_lines(line(9), 1, true);
  REQUIRE(lines);
  CHECK_EQ(lines->last_seq, 9);
}

TEST_CASE("what is not a line is refused and named") {
  for (const char* body :
       {"", "\n", "not json\n", "[]\n", R"({"seq":1})", R"({"ts":1,"seq":1,"stream":"stdout"})",
        R"({"ts":1,"seq":1,"stream":"stdlog","text":"a"})",
        R"({"ts":-1,"seq":1,"stream":"stdout","text":"a"})",
        R"({"ts":1,"seq":0,"stream":"stdout","text":"a"})",
        R"({"ts":1,"seq":1,"stream":"stdout","text":7})",
        R"({"ts":1,"seq":1,"stream":"stdout","text":"a","org":"other"})",
        R"({"ts":1,"seq":1,"stream":"stdout","text":{"a":{"b":{}}}})"}) {
    CAPTURE(body);
    CHECK(refusal(body) == Code::bad_request);
  }
  CHECK(refusal(line(1, std::string(model::kLogLineBytesMax + 1, 'x'))) == Code::bad_request);
  CHECK(read_new_lines(line(1, std::string(model::kLogLineBytesMax, 'x')), 0, false));
}

TEST_CASE("a guest's report is read strictly") {
  const auto report = parse_guest_report(
      R"({"result":"failed","exit_code":7,"reason":"exit code 7","last_seq":3})");
  REQUIRE(report);
  CHECK_EQ(report->exit_code, 7);
  CHECK_EQ(report->last_seq, 3);
  CHECK_FALSE(parse_guest_report(R"({"result":"great","last_seq":3})"));
  CHECK_FALSE(parse_guest_report(R"({"result":"failed"})"));
  CHECK_FALSE(parse_guest_report(R"({"result":"failed","exit_code":256,"last_seq":3})"));
}

namespace {

boost::json::object claims_of(const std::string& token) {
  const size_t first = token.find('.'), second = token.rfind('.');
  REQUIRE_NE(first, second);
  auto claims =
      parse_json_object(parse_base64url(token.substr(first + 1, second - first - 1)).value());
  REQUIRE(claims);
  return std::move(*claims);
}

}  // namespace

TEST_CASE("the guest's token has the shape of one and is worth nothing") {
  const Secret unreadable("token-12");
  const auto claims =
      claims_of(worthless_runtime_token({{12}, {3}}, unreadable, from_us(1'700'000'000'000'000)));
  CHECK_EQ(read_text(claims, "scp").value(), "Actions.Results:12:12");
  CHECK_EQ(read_text(claims, "ac").value(), "[]");
  CHECK_GT(read_int(claims, "exp").value(), 1'700'000'000);
}

TEST_CASE("the guest's token has the real one's ids, which clients send back, and no more") {
  const std::string payload =
      to_base64url(R"({"scp":"Actions.Results:77:12","ac":"[{}]","org":"acme","exp":5})");
  const Secret real("head." + payload + ".signature");
  const std::string token = worthless_runtime_token({{12}, {3}}, real, from_us(0));
  const auto claims = claims_of(token);
  CHECK_EQ(read_text(claims, "scp").value(), "Actions.Results:77:12");
  CHECK_EQ(read_text(claims, "ac").value(), "[{}]");
  CHECK_FALSE(claims.contains("org"));
  CHECK_GT(read_int(claims, "exp").value(), 5);
  CHECK_EQ(token.find("signature"), std::string::npos);
}

TEST_CASE("the job's own variables win over Nimbus's and the image's") {
  model::JobSpec spec;
  spec.org = "a,b=c";
  spec.repo = "app";
  spec.env = {{"CI", "no"}, {"MINE", "1"}};
  const std::vector<std::string> image_env = {"PATH=/opt/bin", "CI=maybe", "broken"};
  const Secret token("token-12");
  const auto env = job_environment({{{12}, {3}}, spec, image_env, token, from_us(0)});
  CHECK_EQ(env.at("CI"), "no");
  CHECK_EQ(env.at("PATH"), "/opt/bin");
  CHECK_EQ(env.at("OTEL_RESOURCE_ATTRIBUTES"),
           "nimbus.org=a%2Cb%3Dc,nimbus.repo=app,nimbus.job_id=12");
  CHECK_FALSE(env.contains("broken"));
}
