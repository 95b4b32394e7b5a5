#include "access/job_token.h"

#include <doctest/doctest.h>

#include <boost/json.hpp>

#include "base/encoding.h"
#include "base/fake_clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/text.h"

using namespace nimbus;
using namespace nimbus::access;
using std::chrono::seconds;

namespace {

const std::string kKey = "0123456789abcdef0123456789abcdef";
const std::string kOlderKey = "fedcba9876543210fedcba9876543210";
const Time kNow = from_us(1'700'000'000'000'000);

JobTokens tokens() { return JobTokens({Secret(kKey)}); }

JobClaims claims() {
  return make_job_claims({.org = "acme",
                          .repo = "app",
                          .ref = "refs/pull/7/merge",
                          .base_ref = "refs/heads/next",
                          .default_ref = "refs/heads/main",
                          .job = {12},
                          .fence = {3},
                          .run_id = 99,
                          .now = kNow,
                          .expires_at = kNow + seconds(60)});
}

// A token with this header and payload, signed with `key` as HS256 would be.
std::string forge(std::string_view header, std::string_view payload, std::string_view key = kKey) {
  const std::string text = to_base64url(header) + "." + to_base64url(payload);
  return text + "." + to_base64url(hmac_sha256(key, text));
}

std::string payload_of(const std::string& token) { return *parse_base64url(split(token, '.')[1]); }

// The payload of a good token with one claim replaced by `json`, or left out when it is empty.
std::string payload_with(std::string_view claim, std::string_view json) {
  boost::json::object payload = *parse_json_object(payload_of(tokens().sign(claims())));
  payload.erase(claim);
  if (!json.empty()) payload[claim] = boost::json::parse(json);
  return boost::json::serialize(payload);
}

constexpr std::string_view kHeader = R"({"alg":"HS256","typ":"JWT"})";

bool refused(const std::string& token) {
  const auto verified = tokens().verify(token, kNow);
  return !verified && verified.error().code == Code::unauthenticated;
}

}  // namespace

TEST_CASE("a job token says what it was signed with") {
  const auto verified = tokens().verify(tokens().sign(claims()), kNow);
  REQUIRE(verified.has_value());
  CHECK_EQ(verified->org, "acme");
  CHECK_EQ(verified->repo, "app");
  CHECK_EQ(verified->ref, "refs/pull/7/merge");
  CHECK_EQ(verified->job.value, 12);
  CHECK_EQ(verified->fence.value, 3);
  CHECK_EQ(verified->run_backend_id, "99");
  CHECK_EQ(verified->job_backend_id, "12");
  CHECK(verified->expires_at == kNow + seconds(60));
  CHECK(verified->has_scope(kScopeCache));
  CHECK_FALSE(verified->has_scope("admin"));
  CHECK(verified->cache_scopes == claims().cache_scopes);
}

TEST_CASE("a job writes cache entries of its own ref only") {
  const auto scopes = claims().cache_scopes;
  REQUIRE_EQ(scopes.size(), 3);
  CHECK(scopes[0] == CacheScope{"refs/pull/7/merge", true, true});
  CHECK(scopes[1] == CacheScope{"refs/heads/next", true, false});
  CHECK(scopes[2] == CacheScope{"refs/heads/main", true, false});
}

TEST_CASE("a job without a ref shares entries with no branch") {
  const auto made = make_job_claims({.org = "acme",
                                     .repo = "app",
                                     .ref = "",
                                     .base_ref = "",
                                     .default_ref = "refs/heads/main",
                                     .job = {1},
                                     .fence = {1},
                                     .now = kNow,
                                     .expires_at = kNow});
  CHECK_EQ(made.cache_scopes[0].ref, "refs/nimbus/none");
  CHECK_FALSE(made.cache_scopes[1].write);
  CHECK_EQ(made.run_backend_id, "1");
}

TEST_CASE("unmodified Actions clients find the claims they read") {
  const auto payload = *parse_json_object(payload_of(tokens().sign(claims())));
  CHECK_EQ(payload.at("scp").as_string(), "Actions.Results:99:12");
  // `ac` is JSON inside a string.
  CHECK_EQ(
      payload.at("ac").as_string(),
      R"([{"Scope":"refs/pull/7/merge","Permission":3},)"
      R"({"Scope":"refs/heads/next","Permission":1},{"Scope":"refs/heads/main","Permission":1}])");
  CHECK_EQ(payload.at("iss").as_string(), "nimbus");
  CHECK(payload.at("exp").is_int64());
}

TEST_CASE("a job token ends with its lease, with five seconds for clocks that differ") {
  const std::string token = tokens().sign(claims());
  CHECK(tokens().verify(token, kNow + seconds(64)).has_value());
  JobTokenFault fault{};
  CHECK_FALSE(tokens().verify(token, kNow + seconds(65), &fault).has_value());
  CHECK(fault == JobTokenFault::expired);
}

TEST_CASE("a token of another key is refused, and one of the key before is not while it rotates") {
  const std::string token = JobTokens({Secret(kOlderKey)}).sign(claims());
  JobTokenFault fault{};
  CHECK_FALSE(tokens().verify(token, kNow, &fault).has_value());
  CHECK(fault == JobTokenFault::forged);
  CHECK(JobTokens({Secret(kKey), Secret(kOlderKey)}).verify(token, kNow).has_value());
}

TEST_CASE("only HS256 is accepted, whatever the header says") {
  const std::string payload = payload_of(tokens().sign(claims()));
  CHECK_FALSE(refused(forge(kHeader, payload)));
  for (const auto* header :
       {R"({"alg":"none"})", R"({"alg":"None","typ":"JWT"})", R"({"alg":"RS256"})",
        R"({"alg":"HS384"})", R"({"alg":"hs256"})", R"({"alg":["HS256"]})", R"({"typ":"JWT"})",
        R"({"alg":"HS256","crit":["exp"]})", R"({"alg":"HS256","typ":"JWE"})", "[]", ""}) {
    CHECK(refused(forge(header, payload)));
  }
  // Without a signature, as `none` has it.
  const std::string none = to_base64url(R"({"alg":"none"})") + "." + to_base64url(payload);
  CHECK(refused(none + "."));
  CHECK(refused(none));
}

TEST_CASE("a header cannot choose the key") {
  const std::string payload = payload_of(tokens().sign(claims()));
  CHECK(refused(forge(R"({"alg":"HS256","kid":"../../dev/null"})", payload, "")));
  CHECK(refused(forge(R"({"alg":"HS256","jwk":{"kty":"oct","k":"AA"}})", payload, "\0")));
  CHECK_FALSE(refused(forge(R"({"alg":"HS256","kid":"../../dev/null"})", payload)));
}

TEST_CASE("every changed byte of a token is noticed") {
  const std::string token = tokens().sign(claims());
  for (size_t i = 0; i < token.size(); ++i) {
    std::string changed = token;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    CHECK(refused(changed));
  }
}

TEST_CASE("text that is no token is refused") {
  const std::string good = tokens().sign(claims());
  for (const std::string& text :
       {std::string(), std::string("."), std::string(".."), std::string("..."), good + ".",
        good + "=", "." + good, good + "\n", std::string("a.b.c"), std::string(9000, 'a'),
        std::string(5000, '.'), good.substr(0, good.size() - 1)}) {
    CHECK(refused(text));
  }
}

TEST_CASE("a signed payload with wrong claims is refused all the same") {
  CHECK(refused(forge(kHeader, payload_with("iss", R"("someone")"))));
  CHECK(refused(forge(kHeader, payload_with("aud", R"("other")"))));
  CHECK(refused(forge(kHeader, payload_with("nbf", "1700000060"))));
  CHECK(refused(forge(kHeader, payload_with("exp", ""))));
  CHECK(refused(forge(kHeader, payload_with("exp", R"("never")"))));
  CHECK(refused(forge(kHeader, payload_with("exp", "9223372036854775807"))));
  CHECK(refused(forge(kHeader, payload_with("org", R"("../other")"))));
  CHECK(refused(forge(kHeader, payload_with("org", R"("*")"))));
  CHECK(refused(forge(kHeader, payload_with("repo", "null"))));
  CHECK(refused(forge(kHeader, payload_with("job", "0"))));
  CHECK(refused(forge(kHeader, payload_with("fence", "-1"))));
  CHECK(refused(forge(kHeader, payload_with("scp", R"("Actions.Results:1:2:3")"))));
  CHECK(refused(forge(kHeader, payload_with("ac", R"("[{\"Scope\":\"r\",\"Permission\":9}]")"))));
  CHECK(refused(forge(kHeader, payload_with("ac", R"("[[[[[[[[[]]]]]]]]]")"))));
  CHECK(refused(forge(kHeader, payload_with("scopes", R"("cache")"))));
  CHECK(refused(forge(kHeader, "not json")));
  CHECK_FALSE(refused(forge(kHeader, payload_with("more", "1"))));
}

TEST_CASE("a key file holds one or two keys of at least 32 bytes") {
  CHECK_EQ(parse_job_token_keys(kKey + "\n")->size(), 1);
  CHECK_EQ(parse_job_token_keys(kKey + "\n\n" + kOlderKey)->size(), 2);
  CHECK_FALSE(parse_job_token_keys("").has_value());
  CHECK_FALSE(parse_job_token_keys("short").has_value());
  CHECK_FALSE(parse_job_token_keys(kKey + "\n" + kKey + "\n" + kKey).has_value());
}
