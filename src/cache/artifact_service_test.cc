// Artifacts as @actions/artifact moves them.
#include "cache/artifact_service.h"

#include <doctest/doctest.h>

#include "api/openapi.h"
#include "base/encoding.h"
#include "base/hash.h"
#include "base/text.h"
#include "cache/cache_fixture.h"

using namespace nimbus;
using namespace nimbus::cache;

namespace {

struct Artifacts : CacheFixture {
  int run_ = 77;  // that is asked about
  Reply ask(std::string_view method, std::string_view bearer, boost::json::object body, int run = 0,
            int id = 12) {
    body["workflow_run_backend_id"] = std::to_string(run == 0 ? run_ : run);
    body["workflow_job_run_backend_id"] = std::to_string(id);
    return twirp(kArtifacts, method, bearer, body);
  }
  Reply upload(std::string_view bearer, const std::string& name, const std::string& bytes,
               const boost::json::object& more = {}) {
    boost::json::object body{{"name", name}, {"version", 7}};
    for (const auto& [key, value] : more) body[key] = value;
    const Reply created = ask("CreateArtifact", bearer, body);
    if (created.status != 200) return created;
    const std::string url = target_of(created.text("signed_upload_url"));
    const std::string block = to_base64("one block");
    CHECK_EQ(
        call("PUT", url + "&comp=block&blockid=" + net::percent_encode(block), "", bytes).status,
        201);
    CHECK_EQ(call("PUT", url + "&comp=blocklist", "",
                  "<BlockList><Latest>" + block + "</Latest></BlockList>")
                 .status,
             201);
    return ask("FinalizeArtifact", bearer,
               {{"name", name},
                {"size", std::to_string(bytes.size())},
                {"hash", "sha256:" + to_hex(sha256(bytes))}});
  }
  size_t listed(std::string_view bearer) {
    return ask("ListArtifacts", bearer, {}).json().at("artifacts").as_array().size();
  }
};

}  // namespace

TEST_CASE_FIXTURE(Artifacts, "what one job uploads another job of the run downloads") {
  CHECK_EQ(upload(job(), "results", "zip bytes").status, 200);
  Standing later;
  later.job = 14;
  const std::string other = job(later);
  const Reply list = ask("ListArtifacts", other, {{"name_filter", "results"}});
  const auto found = list.json().at("artifacts").as_array().at(0).as_object();
  CHECK_EQ(found.at("size").as_string(), "9");
  CHECK_EQ(found.at("digest").as_string(), "sha256:" + to_hex(sha256("zip bytes")));
  const Reply by_id = ask("ListArtifacts", other, {{"id_filter", found.at("database_id")}});
  CHECK_EQ(by_id.json().at("artifacts").as_array().size(), 1);
  const Reply url = ask("GetSignedArtifactURL", other, {{"name", "results"}});
  const Reply got = call("GET", target_of(url.text("signed_url")), "");
  CHECK_EQ(got.status, 200);
  CHECK_EQ(got.body, "zip bytes");
  CHECK_EQ(got.headers.find("Content-Type"), "application/zip");
  CHECK_EQ(got.headers.find("Content-Disposition"), "attachment; filename*=UTF-8''results");
}

TEST_CASE_FIXTURE(Artifacts, "a name is used once in a run, until it is deleted") {
  CHECK_EQ(upload(job(), "results", "one").status, 200);
  const Reply again = ask("CreateArtifact", job(), {{"name", "results"}, {"version", 7}});
  CHECK_EQ(again.status, 409);
  CHECK_EQ(again.text("code"), "already_exists");
  CHECK_EQ(ask("DeleteArtifact", job(), {{"name", "results"}}).status, 200);
  CHECK_EQ(usage("acme"), 0);
  CHECK_EQ(upload(job(), "results", "two").status, 200);
}

TEST_CASE_FIXTURE(Artifacts, "another run, repository or org has none of them") {
  CHECK_EQ(upload(job(), "results", "one").status, 200);
  Standing other_run;
  other_run.run = 78;
  Standing other_repo;
  other_repo.repo = "other";
  Standing other_org;
  other_org.org = "evil";
  // Ids of another's run in the request do not help.
  CHECK_EQ(ask("ListArtifacts", job(other_run), {}).status, 404);
  for (const Standing& standing : {other_repo, other_org}) {
    const std::string theirs = job(standing);
    CHECK_EQ(listed(theirs), 0);
    CHECK_EQ(ask("GetSignedArtifactURL", theirs, {{"name", "results"}}).status, 404);
    CHECK_EQ(ask("DeleteArtifact", theirs, {{"name", "results"}}).status, 404);
    CHECK_EQ(ask("FinalizeArtifact", theirs, {{"name", "results"}, {"size", "3"}}).status, 404);
  }
  CHECK_EQ(listed(job()), 1);
}

TEST_CASE_FIXTURE(Artifacts, "bytes that are not what the client hashed become no artifact") {
  const Reply created = ask("CreateArtifact", job(), {{"name", "a"}, {"version", 7}});
  const std::string url = target_of(created.text("signed_upload_url"));
  CHECK_EQ(call("PUT", url, "", "bytes").status, 201);
  CHECK_EQ(ask("FinalizeArtifact", job(), {{"name", "a"}, {"size", "4"}}).status, 400);
  CHECK_EQ(ask("FinalizeArtifact", job(),
               {{"name", "a"}, {"size", "5"}, {"hash", "sha256:" + to_hex(sha256("x"))}})
               .status,
           400);
  CHECK_EQ(listed(job()), 0);
  CHECK_EQ(ask("FinalizeArtifact", job(), {{"name", "a"}, {"size", "5"}}).status, 200);
  CHECK_EQ(ask("FinalizeArtifact", job(), {{"name", "a"}, {"size", "5"}}).status, 200);  // again
}

TEST_CASE_FIXTURE(Artifacts, "a single file keeps its type") {
  CHECK_EQ(upload(job(), "page.html", "<p>", {{"mime_type", "text/html"}}).status, 200);
  const Reply url = ask("GetSignedArtifactURL", job(), {{"name", "page.html"}});
  const Reply got = call("GET", target_of(url.text("signed_url")), "");
  CHECK_EQ(got.headers.find("Content-Type"), "text/html");
  CHECK_EQ(got.headers.find("Content-Security-Policy"), "sandbox");
}

TEST_CASE_FIXTURE(Artifacts, "an artifact goes when it expires") {
  const std::string soon = to_rfc3339(clock.now() + std::chrono::hours(24));
  CHECK_EQ(upload(job(), "short", "1", {{"expires_at", soon}}).status, 200);
  CHECK_EQ(upload(job(), "long", "2").status, 200);
  pass(std::chrono::hours(25));
  sweep();
  CHECK_EQ(listed(job()), 1);
  CHECK_EQ(usage("acme"), 1);
}

TEST_CASE_FIXTURE(Artifacts, "names that no file may have are refused") {
  for (const char* name : {"", "a/b", "a\\b", "a:b", "a\"b", "a<b", "a|b", "a*b", "a?b", "a\rb"}) {
    CHECK_EQ(ask("CreateArtifact", job(), {{"name", name}, {"version", 7}}).status, 400);
  }
}

TEST_CASE_FIXTURE(Artifacts, "operators list the artifacts of every run of their org, in pages") {
  Standing other_run;
  other_run.run = 78;
  Standing other_org;
  other_org.org = "evil";
  CHECK_EQ(upload(job(), "results", "one").status, 200);
  run_ = 78;
  CHECK_EQ(upload(job(other_run), "results", "three").status, 200);
  run_ = 77;
  CHECK_EQ(upload(job(other_org), "results", "theirs").status, 200);
  const std::string reader = token(access::Role::viewer, "acme");
  const Reply first = call("GET", "/api/v1/artifacts?limit=1", reader);
  CHECK(api::schema_faults("ArtifactList", first.json()).empty());
  CHECK_EQ(first.json().at("items").at(0).at("run").as_string(), "78");
  CHECK_EQ(first.json().at("items").at(0).at("size_bytes").as_int64(), 5);
  const std::string cursor(first.json().at("next_cursor").as_string());
  const Reply second = call("GET", "/api/v1/artifacts?limit=1&cursor=" + cursor, reader);
  CHECK_EQ(second.json().at("items").at(0).at("run").as_string(), "77");
  CHECK(second.json().at("next_cursor").is_null());
  const auto count = [&](const std::string& query) {
    return call("GET", "/api/v1/artifacts?" + query, reader).json().at("items").as_array().size();
  };
  CHECK_EQ(count("run=78"), 1);
  CHECK_EQ(count("repo=APP&name=results"), 2);
  CHECK_EQ(count("name=other"), 0);
  CHECK_EQ(count("org=evil"), 0);
  CHECK_EQ(call("GET", "/api/v1/artifacts?cursor=x", reader).status, 400);
}

TEST_CASE_FIXTURE(Artifacts, "operators remove artifacts of their org and of no other") {
  for (const char* name : {"a", "b", "c"}) CHECK_EQ(upload(job(), name, name).status, 200);
  const auto id = [&](const std::string& name) {
    const Reply list =
        call("GET", "/api/v1/artifacts?name=" + name, token(access::Role::viewer, "acme"));
    return std::to_string(list.json().at("items").at(0).at("id").as_int64());
  };
  const std::string a = "/api/v1/artifacts/" + id("a");
  const std::string evil = token(access::Role::admin, "evil");
  CHECK_EQ(call("DELETE", a, evil).status, 404);
  CHECK_EQ(call("DELETE", "/api/v1/artifacts?org=acme", evil).status, 404);
  CHECK_EQ(call("DELETE", a, token(access::Role::viewer, "acme")).status, 403);
  CHECK_EQ(listed(job()), 3);
  const std::string operator_ = token(access::Role::operator_, "acme");
  CHECK_EQ(call("DELETE", a, operator_).status, 204);
  CHECK_EQ(call("DELETE", a, operator_).status, 404);
  CHECK_EQ(call("DELETE", "/api/v1/artifacts/x", operator_).status, 400);
  CHECK_EQ(call("DELETE", "/api/v1/artifacts", operator_).status, 400);
  CHECK_EQ(call("DELETE", "/api/v1/artifacts?org=acme&name=b", operator_).json().at("deleted"), 1);
  CHECK_EQ(listed(job()), 1);
  CHECK_EQ(usage("acme"), 1);
}

TEST_CASE_FIXTURE(Artifacts, "operators download artifacts of their org and of no other") {
  CHECK_EQ(upload(job(), "a", "bytes").status, 200);
  const std::string viewer = token(access::Role::viewer, "acme");
  const auto list = call("GET", "/api/v1/artifacts", viewer).json();
  const std::string content = "/api/v1/artifacts/" +
                              std::to_string(list.at("items").at(0).at("id").as_int64()) +
                              "/content";
  const Reply there = call("GET", content, viewer);
  CHECK_EQ(there.status, 302);
  CHECK_EQ(call("GET", std::string(*there.headers.find("Location")), "").body, "bytes");
  CHECK_EQ(call("GET", content, token(access::Role::admin, "evil")).status, 404);
  CHECK_EQ(call("GET", "/api/v1/artifacts/99/content", viewer).status, 404);
  CHECK_EQ(call("GET", "/api/v1/artifacts/x/content", viewer).status, 400);
  CHECK_EQ(call("GET", content, "").status, 401);
}
