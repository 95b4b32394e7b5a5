// Artifacts as @actions/artifact moves them.
#include "cache/artifact_service.h"

#include <doctest/doctest.h>

#include "base/encoding.h"
#include "base/hash.h"
#include "base/text.h"
#include "cache/cache_fixture.h"

using namespace nimbus;
using namespace nimbus::cache;

namespace {

struct Artifacts : CacheFixture {
  Reply ask(std::string_view method, std::string_view bearer, boost::json::object body,
            int run = 77, int id = 12) {
    body["workflow_run_backend_id"] = std::to_string(run);
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
