#include "cache/plain_routes.h"

#include <doctest/doctest.h>

#include "base/encoding.h"
#include "base/hash.h"
#include "base/text.h"
#include "cache/cache_fixture.h"

using namespace nimbus;
using namespace nimbus::cache;

TEST_CASE_FIXTURE(CacheFixture, "a plain key is put, got, replaced and deleted") {
  CHECK_EQ(call("GET", "/cache/dir/key", job()).status, 404);
  CHECK_EQ(call("PUT", "/cache/dir/key", job(), "one").status, 201);
  CHECK_EQ(call("GET", "/cache/dir/key", job()).body, "one");
  CHECK_EQ(call("PUT", "/cache/dir/key", job(), "second").status, 204);
  CHECK_EQ(call("GET", "/cache/dir/key", job()).body, "second");
  CHECK_EQ(usage("acme"), 6);  // what was replaced is given back
  CHECK_EQ(call("HEAD", "/cache/dir/key", job()).status, 200);
  CHECK_EQ(call("DELETE", "/cache/dir/key", job()).status, 204);
  CHECK_EQ(call("GET", "/cache/dir/key", job()).status, 404);
  CHECK_EQ(usage("acme"), 0);
}

TEST_CASE_FIXTURE(CacheFixture, "If-None-Match: * keeps what is there") {
  CHECK_EQ(call("PUT", "/cache/key", job(), "one", {{"If-None-Match", "*"}}).status, 201);
  CHECK_EQ(call("PUT", "/cache/key", job(), "two", {{"If-None-Match", "*"}}).status, 412);
  CHECK_EQ(call("GET", "/cache/key", job()).body, "one");
}

TEST_CASE_FIXTURE(CacheFixture, "an empty entry is an entry") {
  CHECK_EQ(call("PUT", "/cache/empty", job(), "").status, 201);
  CHECK_EQ(call("GET", "/cache/empty", job()).status, 200);
}

TEST_CASE_FIXTURE(CacheFixture, "keys that name files somewhere else are refused") {
  for (const char* key : {"a\\b", "a/./b", "../x", "a/..", "a//b", "a\x01"}) {
    const int status =
        call("PUT", std::string("/cache/") + net::percent_encode(key), job(), "x").status;
    CHECK((status == 400 || status == 404));
  }
  CHECK_EQ(call("PUT", "/cache/" + std::string(1025, 'k'), job(), "x").status, 400);
}

TEST_CASE_FIXTURE(CacheFixture,
                  "what an operator puts for the org every job reads and none replaces") {
  const std::string ours = token(access::Role::operator_, "acme");
  CHECK_EQ(call("PUT", "/cache/tool", ours, "operator's").status, 201);
  CHECK_EQ(call("GET", "/cache/tool", job()).body, "operator's");
  CHECK_EQ(call("GET", "/cache/tool", fork()).body, "operator's");
  CHECK_EQ(call("PUT", "/cache/tool", fork(), "fork's").status, 201);
  CHECK_EQ(call("GET", "/cache/tool", job()).body, "operator's");
  CHECK_EQ(call("GET", "/cache/tool", ours).body, "operator's");
}

TEST_CASE_FIXTURE(CacheFixture, "an operator of every org says which one") {
  const std::string all = token(access::Role::admin, "*");
  CHECK_EQ(call("PUT", "/cache/tool", all, "x").status, 400);
  CHECK_EQ(call("PUT", "/cache/tool?org=acme&repo=app&ref=refs/heads/main", all, "x").status, 201);
  CHECK_EQ(call("GET", "/cache/tool", job()).body, "x");
}

TEST_CASE_FIXTURE(CacheFixture, "the token may be the password of Basic") {
  const std::string basic = "Basic " + to_base64("anybody:" + job());
  CHECK_EQ(call("PUT", "/cache/key", "", "x", {{"Authorization", basic}}).status, 201);
  const Reply refused = call("GET", "/cache/key", "");
  CHECK_EQ(refused.status, 401);
  CHECK(refused.headers.find("WWW-Authenticate").has_value());
}

TEST_CASE_FIXTURE(CacheFixture, "Bazel's content-addressed keys hold bytes of their hash alone") {
  const std::string hash = to_hex(sha256("result"));
  CHECK_EQ(call("PUT", "/cas/" + hash, job(), "forged").status, 400);
  CHECK_EQ(call("GET", "/cas/" + hash, job()).status, 404);
  CHECK_EQ(call("PUT", "/cas/" + hash, job(), "result").status, 201);
  CHECK_EQ(call("GET", "/cas/" + hash, job()).body, "result");
  CHECK_EQ(call("GET", "/cache/cas/" + hash, job()).body, "result");
  CHECK_EQ(call("PUT", "/cache/any/cas/" + hash, job(), "forged").status, 400);
  CHECK_EQ(call("PUT", "/ac/" + hash, job(), "action").status, 201);
  CHECK_EQ(call("GET", "/cache/ac/" + hash, job()).body, "action");
}

TEST_CASE_FIXTURE(CacheFixture, "WebDAV clients learn whether a key is there") {
  CHECK_EQ(call("PROPFIND", "/cache/a/b", job()).status, 404);
  CHECK_EQ(call("MKCOL", "/cache/a/", job()).status, 201);
  CHECK_EQ(call("PUT", "/cache/a/b", job(), "12345").status, 201);
  const Reply found = call("PROPFIND", "/cache/a/b", job());
  CHECK_EQ(found.status, 207);
  CHECK(found.body.find("<D:getcontentlength>5<") != std::string::npos);
  const Reply folder = call("PROPFIND", "/cache/a/", job());
  CHECK_EQ(folder.status, 207);
  // Without both of them sccache takes no answer and stores nothing.
  CHECK(folder.body.find("<D:resourcetype><D:collection/></D:resourcetype>") != std::string::npos);
  CHECK(folder.body.find("<D:getlastmodified>Sun, 01 Mar 2026") != std::string::npos);
}

TEST_CASE_FIXTURE(CacheFixture, "a plain entry over the quota is refused and nothing is kept") {
  limits.org_bytes_max = 10;
  CHECK_EQ(call("PUT", "/cache/key", job(), std::string(11, 'x')).status, 413);
  CHECK_EQ(usage("acme"), 0);
}

TEST_CASE_FIXTURE(CacheFixture, "an entry whose bytes were taken out is a miss and is forgotten") {
  CHECK_EQ(call("PUT", "/cache/key", job(), "rotten").status, 201);
  REQUIRE(run(store->quarantine(blob::digest_of("rotten"))).has_value());
  CHECK_EQ(call("GET", "/cache/key", job()).status, 404);
  CHECK_EQ(usage("acme"), 0);
}
