// Who sees whose entries, on every protocol: nobody can plant what somebody more trusted restores,
// and nobody learns what another org has.
#include <doctest/doctest.h>

#include "api/openapi.h"
#include "base/text.h"
#include "cache/cache_fixture.h"

using namespace nimbus;
using namespace nimbus::cache;

namespace {

struct Scopes : CacheFixture {
  std::string branch(std::string name, std::string base = "") {
    Standing standing;
    standing.ref = "refs/heads/" + name;
    if (!base.empty()) standing.base_ref = "refs/heads/" + base;
    return job(standing);
  }
  size_t audited() {
    const Reply found = call("GET", "/api/v1/caches/audit", token(access::Role::viewer, "acme"));
    REQUIRE_EQ(found.status, 200);
    return found.json().at("items").as_array().size();
  }
};

}  // namespace

TEST_CASE_FIXTURE(Scopes, "a branch reads its own, then its base, then the default branch") {
  CHECK(save(branch("main"), "key", "main"));
  CHECK_EQ(restore(branch("topic", "release"), "key"), "main");
  CHECK(save(branch("release"), "key", "release"));
  CHECK_EQ(restore(branch("topic", "release"), "key"), "release");
  CHECK(save(branch("topic"), "key", "topic"));
  CHECK_EQ(restore(branch("topic", "release"), "key"), "topic");
}

TEST_CASE_FIXTURE(Scopes, "all keys are tried in a scope before the next scope is") {
  CHECK(save(branch("main"), "npm-exact", "main"));
  CHECK(save(branch("topic"), "npm-older", "topic"));
  CHECK_EQ(restore(branch("topic"), "npm-exact", {"npm-"}), "topic");
}

TEST_CASE_FIXTURE(Scopes,
                  "a branch does not see its sibling, nor the default branch its children") {
  CHECK(save(branch("one"), "key", "one"));
  CHECK_EQ(restore(branch("two"), "key"), "");
  CHECK_EQ(restore(branch("main"), "key"), "");
}

TEST_CASE_FIXTURE(Scopes, "a fork's pull request reads the default branch and cannot plant there") {
  CHECK(save(branch("main"), "key", "good"));
  CHECK_EQ(restore(fork(), "key"), "good");
  CHECK(save(fork(), "planted", "bad"));
  CHECK_EQ(restore(branch("main"), "planted"), "");
  CHECK_EQ(restore(branch("main"), "plant", {"planted", "p", "pla"}), "");
  CHECK_EQ(restore(fork(), "planted"), "bad");
  CHECK_EQ(audited(), 0);
}

TEST_CASE_FIXTURE(Scopes, "a fork cannot plant plain keys either") {
  CHECK_EQ(call("PUT", "/cache/tool", fork(), "bad").status, 201);
  CHECK_EQ(call("GET", "/cache/tool", branch("main")).status, 404);
  CHECK_EQ(call("PUT", "/cache/tool", branch("main"), "good").status, 201);
  CHECK_EQ(call("GET", "/cache/tool", branch("main")).body, "good");
  Standing clean;
  clean.cache_ref = "refs/nimbus/run/99";
  clean.trust = access::Trust::unproven;
  CHECK_EQ(call("GET", "/cache/tool", job(clean)).body, "good");
}

TEST_CASE_FIXTURE(Scopes, "a fork's upload is not finished in another's name") {
  const Reply created =
      twirp(kV2, "CreateCacheEntry", fork(), {{"key", "key"}, {"version", kVersion}});
  CHECK_EQ(call("PUT", target_of(created.text("signed_upload_url")), "", "bad").status, 201);
  CHECK_EQ(finalize(branch("main"), "key", 3).status, 404);
  CHECK_EQ(restore(branch("main"), "key"), "");
}

TEST_CASE_FIXTURE(Scopes, "the audit finds what trust does not allow") {
  Standing confused;  // a token that control would not make
  confused.trust = access::Trust::fork;
  CHECK(save(job(confused), "key", "bad"));
  CHECK_EQ(audited(), 1);
}

TEST_CASE_FIXTURE(Scopes, "an entry remembers who wrote it") {
  CHECK(save(fork(), "key", "bytes"));
  const Reply list = call("GET", "/api/v1/caches?key=ke", token(access::Role::viewer, "acme"));
  const auto entry = list.json().at("items").as_array().at(0).as_object();
  CHECK_EQ(entry.at("ref").as_string(), "refs/nimbus/fork/2/main");
  const auto& writer = entry.at("writer").as_object();
  CHECK_EQ(writer.at("by").as_string(), "job-13");
  CHECK_EQ(writer.at("ref").as_string(), "refs/heads/main");
  CHECK_EQ(writer.at("trust").as_string(), "fork");
}

TEST_CASE_FIXTURE(Scopes,
                  "another org's job, operator and repository see nothing and change nothing") {
  CHECK(save(branch("main"), "key", "secret"));
  CHECK_EQ(call("PUT", "/cache/plain", branch("main"), "secret").status, 201);
  Standing foreign;
  foreign.org = "evil";
  Standing sibling;
  sibling.repo = "other";
  for (const std::string& theirs : {job(foreign), job(sibling)}) {
    CHECK_EQ(restore(theirs, "key"), "");
    CHECK_EQ(restore(theirs, "k", {"ke", "key"}), "");
    CHECK_EQ(call("GET", "/cache/plain", theirs).status, 404);
    CHECK_EQ(call("HEAD", "/cache/plain", theirs).status, 404);
    CHECK_EQ(call("DELETE", "/cache/plain", theirs).status, 404);
    const Reply v1 =
        call("GET", "/_apis/artifactcache/cache?keys=key&version=" + std::string(kVersion), theirs);
    CHECK_EQ(v1.status, 204);
    CHECK_EQ(finalize(theirs, "key", 6).status, 404);
  }
  const std::string operator_ = token(access::Role::admin, "evil");
  CHECK_EQ(call("GET", "/cache/plain", operator_).status, 404);
  CHECK_EQ(call("GET", "/cache/plain?org=acme&repo=app", operator_).status, 404);
  CHECK_EQ(call("PUT", "/cache/plain?org=acme", operator_, "bad").status, 404);
  CHECK_EQ(call("DELETE", "/api/v1/caches/1", operator_).status, 404);
  CHECK_EQ(call("DELETE", "/api/v1/caches/99", operator_).status, 404);
  CHECK_EQ(call("GET", "/api/v1/caches", operator_).json().at("items").as_array().size(), 0);
  CHECK_EQ(call("GET", "/api/v1/caches?org=acme", operator_).json().at("items").as_array().size(),
           0);
  CHECK_EQ(
      call("GET", "/api/v1/caches/usage?org=acme", operator_).json().at("items").as_array().size(),
      0);
  for (const char* list : {"caches?sort=largest&org=acme", "caches/org-usage?org=acme"}) {
    CHECK_EQ(call("GET", std::string("/api/v1/") + list, operator_).json().at("items").as_array(),
             boost::json::array());
  }
  CHECK_EQ(call("DELETE", "/api/v1/caches?org=acme", operator_).status, 404);
  CHECK_EQ(restore(branch("main"), "key"), "secret");
  CHECK_EQ(call("GET", "/cache/plain", branch("main")).body, "secret");
}

TEST_CASE_FIXTURE(Scopes, "credentials of other kinds open nothing") {
  const std::vector<std::string> tokens = {
      "", "nonsense", token_of(access::TokenKind::agent, "", "agent-1"),
      token_of(access::TokenKind::ingest, "acme"), token_of(access::TokenKind::enrolment)};
  const std::vector<std::pair<std::string, std::string>> doors = {
      {"POST", std::string(kV2) + "CreateCacheEntry"},
      {"POST", std::string(kV2) + "FinalizeCacheEntryUpload"},
      {"POST", std::string(kV2) + "GetCacheEntryDownloadURL"},
      {"POST", std::string(kArtifacts) + "CreateArtifact"},
      {"POST", std::string(kArtifacts) + "FinalizeArtifact"},
      {"POST", std::string(kArtifacts) + "ListArtifacts"},
      {"POST", std::string(kArtifacts) + "GetSignedArtifactURL"},
      {"POST", std::string(kArtifacts) + "DeleteArtifact"},
      {"GET", "/_apis/artifactcache/cache"},
      {"GET", "/_apis/artifactcache/caches"},
      {"POST", "/_apis/artifactcache/caches"},
      {"PATCH", "/_apis/artifactcache/caches/1"},
      {"POST", "/_apis/artifactcache/caches/1"},
      {"GET", "/cache/key"},
      {"PUT", "/cache/key"},
      {"DELETE", "/cache/key"},
      {"PROPFIND", "/cache/key"},
      {"MKCOL", "/cache/dir/"},
      {"GET", "/ac/key"},
      {"PUT", "/ac/key"},
      {"GET", "/cas/key"},
      {"PUT", "/cas/key"},
      {"GET", "/api/v1/caches"},
      {"GET", "/api/v1/caches/usage"},
      {"GET", "/api/v1/caches/org-usage"},
      {"GET", "/api/v1/caches/audit"},
      {"DELETE", "/api/v1/caches?org=acme"},
      {"DELETE", "/api/v1/caches/1"},
      {"GET", "/api/v1/artifacts"},
      {"DELETE", "/api/v1/artifacts?org=acme"},
      {"DELETE", "/api/v1/artifacts/1"},
      {"GET", "/blobs/entry/1"},
      {"GET", "/blobs/artifact/1"},
      {"PUT", "/blobs/upload/1"}};
  for (const auto& [method, path] : doors) {
    for (const std::string& shown : tokens) {
      INFO(method, " ", path);
      const int status = call(method, path, shown, "{}").status;
      CHECK((status == 401 || status == 403));
    }
  }
}

TEST_CASE_FIXTURE(Scopes, "an operator's token is no job's, and a job's no operator's") {
  CHECK_EQ(twirp(kV2, "CreateCacheEntry", token(access::Role::admin, "*"),
                 {{"key", "k"}, {"version", "v"}})
               .status,
           403);
  CHECK_EQ(call("GET", "/api/v1/caches", job()).status, 403);
  CHECK_EQ(call("DELETE", "/api/v1/caches?org=acme", job()).status, 403);
  CHECK_EQ(call("PUT", "/cache/key", token(access::Role::viewer, "acme"), "x").status, 403);
}

TEST_CASE_FIXTURE(Scopes, "the token of a lease that ended is refused") {
  const std::string shown = job();
  CHECK(save(shown, "key", "bytes"));
  pass(std::chrono::seconds(66));
  CHECK_FALSE(save(shown, "other", "bytes"));
  CHECK_EQ(twirp(kV2, "GetCacheEntryDownloadURL", shown, {{"key", "key"}, {"version", "v"}}).status,
           401);
  CHECK_EQ(call("GET", "/cache/key", shown).status, 401);
  CHECK_EQ(call("GET", "/_apis/artifactcache/cache?keys=key&version=v", shown).status, 401);
}

TEST_CASE_FIXTURE(CacheFixture, "every route is described, and what is described is served") {
  std::vector<std::pair<std::string, std::string>> routes;
  for (auto& route : router.routes()) {
    // OpenAPI has no word for WebDAV's methods.
    if (route.first != "PROPFIND" && route.first != "MKCOL") routes.push_back(std::move(route));
  }
  CHECK_EQ(api::undocumented_routes(routes), std::vector<std::string>{});
  const std::vector<std::string_view> tags = {"cache"};
  CHECK_EQ(api::unserved_routes(routes, tags), std::vector<std::string>{});
}

TEST_CASE_FIXTURE(CacheFixture, "the lists' answers are as described") {
  CHECK(save(job(), "key", "bytes"));
  const std::string viewer = token(access::Role::viewer, "acme");
  const auto faults = [&](const char* path, const char* schema) {
    return api::schema_faults(schema, call("GET", path, viewer).json());
  };
  CHECK_EQ(faults("/api/v1/caches", "CacheEntryList"), std::vector<std::string>{});
  CHECK_EQ(faults("/api/v1/caches/usage", "CacheUsageList"), std::vector<std::string>{});
  CHECK_EQ(faults("/api/v1/caches/org-usage", "CacheOrgUsageList"), std::vector<std::string>{});
  const Reply purged =
      call("DELETE", "/api/v1/caches?org=acme", token(access::Role::operator_, "acme"));
  CHECK_EQ(api::schema_faults("CachePurge", purged.json()), std::vector<std::string>{});
  CHECK_EQ(restore(job(), "key"), "");
}
