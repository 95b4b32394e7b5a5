#include "registry/contents.h"

#include <doctest/doctest.h>

#include <boost/json.hpp>

#include "access/access_fixture.h"
#include "api/openapi.h"
#include "base/json.h"
#include "blob/disk_store.h"
#include "registry/manifest_table.h"
#include "registry/registry.h"
#include "registry/tables.h"

using namespace nimbus;
using namespace nimbus::registry;

namespace {

using Texts = std::vector<std::string>;

struct ContentsFixture : access::AccessFixture {
  ContentsFixture() {
    migrate(blob::blob_migrations());
    migrate(registry_migrations());
    registry.add_routes(router);
    clock.set_now(*parse_rfc3339("2026-03-01T12:00:00Z"));
  }
  ~ContentsFixture() { loop.end_tasks(); }

  // A manifest as a client would send it; later than the ones before.
  std::string push(const std::string& text, std::vector<std::string> tags = {},
                   std::string_view repository = "acme/app") {
    clock.advance(std::chrono::seconds(1));
    ManifestPush push;
    push.repository = repository;
    push.info = {blob::digest_of(text), static_cast<int64_t>(text.size())};
    push.document = *parse_manifest(text, "");
    push.tags = std::move(tags);
    push.check_references = false;
    std::function<Result<Texts>(db::Transaction&)> work = [&](db::Transaction& tx) {
      return put_manifest(tx, push, clock.now());
    };
    REQUIRE(must(database->write<Texts>(work)).empty());
    return to_string(push.info.digest);
  }
  static std::string image(const std::string& name, int64_t layer_bytes) {
    const auto descriptor = [&](const char* type, const std::string& content, int64_t size) {
      return boost::json::object{
          {"mediaType", type}, {"digest", to_string(blob::digest_of(content))}, {"size", size}};
    };
    return boost::json::serialize(boost::json::object{
        {"schemaVersion", 2},
        {"mediaType", kOciManifest},
        {"config",
         descriptor("application/vnd.oci.image.config.v1+json", "config of " + name, 100)},
        {"layers",
         {descriptor("application/vnd.oci.image.layer.v1.tar", "layer of " + name, layer_bytes)}}});
  }
  static std::string index(const std::string& digest, const boost::json::object& platform) {
    return boost::json::serialize(boost::json::object{{"schemaVersion", 2},
                                                      {"mediaType", kOciIndex},
                                                      {"manifests",
                                                       {{{"mediaType", kOciManifest},
                                                         {"digest", digest},
                                                         {"size", 300},
                                                         {"platform", platform}}}}});
  }
  boost::json::object get(const std::string& target, const std::string& bearer) {
    const net::Response response = serve(router, "GET", "/api/v1/" + target, bearer);
    INFO(response.body);
    REQUIRE_EQ(response.status, 200);
    return *parse_json_object(response.body);
  }
  int status(const std::string& target, const std::string& bearer) {
    return serve(router, "GET", "/api/v1/" + target, bearer).status;
  }
  Texts column(const boost::json::object& page, std::string_view name) {
    Texts values;
    for (const auto& item : page.at("items").as_array()) {
      values.emplace_back(item.at(name).as_string());
    }
    return values;
  }

  Metrics metrics;
  std::unique_ptr<blob::DiskStore> store =
      std::move(*blob::DiskStore::open_directory(loop, {.directory = dir + "/blobs"}));
  blob::QuotaBook quota{*database, *store, limits_of(1'000)};
  blob::LossBook losses;
  Registry registry{{loop, *database, *store, quota, losses, authenticator, metrics, clock,
                     Secret("0123456789abcdef0123456789abcdef")},
                    Options()};
  net::Router router;
  std::string viewer = token(access::Role::viewer, "acme");

 private:
  static blob::QuotaBook::Options limits_of(int64_t bytes) {
    blob::QuotaBook::Options options;
    options.limits = [bytes](db::Transaction&, const std::string&, blob::Use) {
      return Result<blob::QuotaLimits>(blob::QuotaLimits{bytes, 0});
    };
    return options;
  }
};

}  // namespace

TEST_CASE_FIXTURE(ContentsFixture, "tags come newest push first, page by page") {
  push(image("a", 10), {"1"});
  push(image("b", 20), {"2", "latest"});
  push(image("a", 10), {"3"});
  const auto first = get("repository-tags?repository=acme/app&limit=3", viewer);
  CHECK_EQ(column(first, "tag"), Texts{"3", "latest", "2"});
  const std::string cursor(first.at("next_cursor").as_string());
  const auto rest = get("repository-tags?repository=acme/app&limit=3&cursor=" + cursor, viewer);
  CHECK_EQ(column(rest, "tag"), Texts{"1"});
  CHECK(rest.at("next_cursor").is_null());
  CHECK_EQ(status("repository-tags?repository=acme/app&cursor=x", viewer), 400);
}

TEST_CASE_FIXTURE(ContentsFixture, "an image's size is its manifest, its config and its layers") {
  const std::string text = image("a", 1'000'000);
  push(text, {"1"});
  const auto tags = get("repository-tags?repository=acme/app", viewer);
  CHECK_EQ(tags.at("items").at(0).at("bytes"), 1'000'100 + static_cast<int64_t>(text.size()));
}

TEST_CASE_FIXTURE(ContentsFixture, "an index has the platforms and the bytes of its images") {
  const std::string text = image("a", 1'000);
  const std::string digest = push(text);
  const std::string whole =
      index(digest, {{"os", "linux"}, {"architecture", "arm64"}, {"variant", "v8"}});
  push(whole, {"1"});
  const auto page = get("repository-manifests?repository=acme/app", viewer);
  const auto& parent = page.at("items").at(0).as_object();
  const auto& child = page.at("items").at(1).as_object();
  CHECK_EQ(parent.at("bytes"), static_cast<int64_t>(whole.size() + text.size()) + 1'100);
  CHECK_EQ(parent.at("platforms"), boost::json::array{"linux/arm64/v8"});
  CHECK_EQ(parent.at("tags"), boost::json::array{"1"});
  CHECK_EQ(child.at("digest").as_string(), digest);
  CHECK_EQ(child.at("platforms"), boost::json::array{"linux/arm64/v8"});
  CHECK_EQ(child.at("tags"), boost::json::array());
}

TEST_CASE_FIXTURE(ContentsFixture, "a platform that nobody could read is none") {
  const std::string digest = push(image("a", 1));
  push(index(digest, {{"os", "unknown"}, {"architecture", "unknown"}}), {"1"});
  push(index(digest, {{"os", "line\nfeed"}}), {"2"});
  push(index(digest, {{"os", std::string(200, 'x')}}), {"3"});
  push(index(digest, {{"os", 7}}), {"4"});
  const auto page = get("repository-tags?repository=acme/app", viewer);
  for (const auto& item : page.at("items").as_array()) {
    CHECK_EQ(item.at("platforms"), boost::json::array());
  }
}

TEST_CASE_FIXTURE(ContentsFixture, "a repository is there for those who may pull from it") {
  push(image("a", 1), {"1"});
  push(image("runner", 1), {"1"}, "nimbus/base");
  const std::string other = token(access::Role::admin, "globex");
  for (const std::string target :
       {"repositories/", "repository-tags?repository=", "repository-manifests?repository="}) {
    CHECK_EQ(status(target + "acme/app", viewer), 200);
    CHECK_EQ(status(target + "acme/app", other), 404);
    CHECK_EQ(status(target + "acme/none", viewer), 404);
    CHECK_EQ(status(target + "nimbus/base", other), 200);
    CHECK_EQ(status(target + "acme/app", ""), 401);
  }
  CHECK_EQ(column(get("repositories", other), "repository"), Texts{});
  CHECK_EQ(column(get("repositories", viewer), "repository"), Texts{"acme/app"});
}

TEST_CASE_FIXTURE(ContentsFixture, "what is told of a repository is as described") {
  push(image("a", 1), {"1"});
  const auto as_described = [&](std::string_view schema, const std::string& target) {
    CHECK_EQ(api::schema_faults(schema, get(target, viewer)), Texts{});
  };
  as_described("Repository", "repositories/acme/app");
  as_described("RepositoryTagList", "repository-tags?repository=acme/app");
  as_described("RepositoryManifestList", "repository-manifests?repository=acme/app");
  as_described("RepositoryUsageList", "repository-usage");
  CHECK_EQ(get("repository-usage", viewer).at("items").at(0).at("bytes_max"), 1'000);
}
