// The Actions cache, version 1, request by request as @actions/cache sends them.
#include "cache/rest_routes.h"

#include <doctest/doctest.h>

#include "base/text.h"
#include "cache/cache_fixture.h"

using namespace nimbus;
using namespace nimbus::cache;

namespace {

struct V1 : CacheFixture {
  static constexpr std::string_view kRoot = "/_apis/artifactcache/";

  Reply reserve(const std::string& key, int64_t size, std::string_view bearer) {
    return call("POST", std::string(kRoot) + "caches", bearer,
                boost::json::serialize(
                    boost::json::object{{"key", key}, {"version", kVersion}, {"cacheSize", size}}));
  }
  std::string path(const Reply& reserved) {
    return std::string(kRoot) + "caches/" +
           std::to_string(reserved.json().at("cacheId").as_int64());
  }
  int patch(const std::string& path, const std::string& range, const std::string& bytes,
            std::string_view bearer) {
    return call("PATCH", path, bearer, bytes, {{"Content-Range", "bytes " + range + "/*"}}).status;
  }
  int commit(const std::string& path, int64_t size, std::string_view bearer) {
    return call("POST", path, bearer, "{\"size\":" + std::to_string(size) + "}").status;
  }
  Reply find(const std::string& keys, std::string_view bearer) {
    return call("GET",
                std::string(kRoot) + "cache?keys=" + net::percent_encode(keys) +
                    "&version=" + std::string(kVersion),
                bearer);
  }
};

}  // namespace

TEST_CASE_FIXTURE(V1, "chunks come in any order and make one entry") {
  const Reply reserved = reserve("npm-linux-aaa", 10, job());
  CHECK_EQ(reserved.status, 201);
  CHECK_EQ(patch(path(reserved), "8-9", "89", job()), 204);
  CHECK_EQ(patch(path(reserved), "0-3", "0123", job()), 204);
  CHECK_EQ(patch(path(reserved), "4-7", "4567", job()), 204);
  CHECK_EQ(commit(path(reserved), 10, job()), 204);
  const Reply found = find("npm-linux-bbb,npm-linux-", job());
  CHECK_EQ(found.status, 200);
  CHECK_EQ(found.text("cacheKey"), "npm-linux-aaa");
  CHECK_EQ(found.text("scope"), "refs/heads/main");
  CHECK_EQ(call("GET", target_of(found.text("archiveLocation")), "").body, "0123456789");
}

TEST_CASE_FIXTURE(V1, "a miss is 204 without a body") {
  const Reply found = find("absent", job());
  CHECK_EQ(found.status, 204);
  CHECK(found.body.empty());
}

TEST_CASE_FIXTURE(V1, "an entry with gaps or of another size is refused") {
  const Reply gaps = reserve("gaps", 10, job());
  CHECK_EQ(patch(path(gaps), "0-3", "0123", job()), 204);
  CHECK_EQ(patch(path(gaps), "8-9", "89", job()), 204);
  CHECK_EQ(commit(path(gaps), 10, job()), 400);
  const Reply shorter = reserve("short", 10, job());
  CHECK_EQ(patch(path(shorter), "0-3", "0123", job()), 204);
  CHECK_EQ(commit(path(shorter), 10, job()), 400);
  CHECK_EQ(commit(path(shorter), 4, job()), 204);
  CHECK_EQ(find("gaps", job()).status, 204);
}

TEST_CASE_FIXTURE(V1, "ranges that are none, and bodies of another length, are refused") {
  const std::string upload = path(reserve("key", 4, job()));
  for (const char* range : {"", "0-", "-3", "3-0", "a-b", "0-9", "4-5", "0-9223372036854775807"}) {
    CHECK_EQ(patch(upload, range, "0123", job()), 400);
  }
  CHECK_EQ(patch(upload, "0-3", "01", job()), 400);
  CHECK_EQ(patch(upload, "0-1", "0123", job()), 400);
}

TEST_CASE_FIXTURE(V1, "a key that exists, or is being written, is a conflict") {
  const Reply first = reserve("key", 1, job());
  CHECK_EQ(reserve("key", 1, job()).status, 409);
  CHECK_EQ(patch(path(first), "0-0", "x", job()), 204);
  CHECK_EQ(commit(path(first), 1, job()), 204);
  const Reply taken = reserve("key", 1, job());
  CHECK_EQ(taken.status, 409);
  CHECK(taken.json().contains("typeKey"));
}

TEST_CASE_FIXTURE(V1, "what the quota cannot hold is refused with a message") {
  limits.org_bytes_max = 100;
  const Reply refused = reserve("large", 101, job());
  CHECK_EQ(refused.status, 400);
  CHECK(refused.text("message").find("quota") != std::string::npos);
}

TEST_CASE_FIXTURE(V1, "nobody continues another's upload") {
  const std::string upload = path(reserve("key", 1, job()));
  Standing sibling;
  sibling.repo = "other";
  for (const std::string& theirs : {job(sibling), fork()}) {
    CHECK_EQ(patch(upload, "0-0", "x", theirs), 404);
    CHECK_EQ(commit(upload, 1, theirs), 404);
  }
  CHECK_EQ(patch(upload, "0-0", "x", job()), 204);
}

TEST_CASE_FIXTURE(V1, "both versions see the same entries") {
  CHECK(save(job(), "key", "two"));
  CHECK_EQ(find("key", job()).text("cacheKey"), "key");
  const Reply list = call("GET", "/_apis/artifactcache/caches?key=k", job());
  CHECK_EQ(list.json().at("totalCount").as_int64(), 1);
}
