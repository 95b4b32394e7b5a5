#include "registry/sweep.h"

#include <doctest/doctest.h>

#include "access/access_fixture.h"
#include "registry/manifest_table.h"
#include "registry/tables.h"
#include "registry/use_notes.h"

using namespace nimbus;
using namespace nimbus::registry;

namespace {

constexpr auto kDay = std::chrono::hours(24);

struct SweepFixture : access::AccessFixture {
  SweepFixture() {
    migrate(blob::blob_migrations());
    migrate(registry_migrations());
  }

  template <typename T>
  T in(const std::function<Result<T>(db::Transaction&)>& work) {
    std::optional<T> value;
    const auto done = database->write_now([&](db::Transaction& tx) -> Result<void> {
      value.emplace(TRY(work(tx)));
      return {};
    });
    INFO((done ? std::string() : done.error().message));
    REQUIRE(done);
    return std::move(*value);
  }

  std::string blob(const std::string& text, const std::string& repository = "acme/app") {
    const blob::Digest digest = blob::digest_of(text);
    in<bool>([&](db::Transaction& tx) -> Result<bool> {
      TRY(link_blob(tx, repository, {digest, static_cast<int64_t>(text.size())}, clock.now()));
      return true;
    });
    return to_string(digest);
  }
  // A manifest named by its text; of blobs, children, a subject, under tags.
  std::string manifest(const std::string& text, ManifestDocument document,
                       std::vector<std::string> tags = {}) {
    ManifestPush push;
    push.repository = "acme/app";
    push.info = {blob::digest_of(text), static_cast<int64_t>(text.size())};
    document.media_type = kOciManifest;
    push.document = std::move(document);
    push.tags = std::move(tags);
    const auto missing = in<std::vector<std::string>>(
        [&](db::Transaction& tx) { return put_manifest(tx, push, clock.now()); });
    REQUIRE(missing.empty());
    return to_string(push.info.digest);
  }

  Swept sweep(const Options& options = {}) {
    Swept total;
    for (;;) {
      const Swept swept = in<Swept>([&](db::Transaction& tx) -> Result<Swept> {
        Swept sum;
        for (const RepositoryRow& repository : TRY(repositories_after(tx, 0, 100))) {
          const Swept one = TRY(sweep_repository(tx, repository, options, clock.now()));
          sum.tags += one.tags;
          sum.manifests += one.manifests;
          sum.blobs += one.blobs;
        }
        return sum;
      });
      if (!swept.any()) return total;
      total.tags += swept.tags;
      total.manifests += swept.manifests;
      total.blobs += swept.blobs;
    }
  }

  bool has_blob(const std::string& digest) {
    return in<bool>([&](db::Transaction& tx) -> Result<bool> {
      return TRY(find_blob(tx, "acme/app", digest)).has_value();
    });
  }
  bool has_manifest(const std::string& reference) {
    return in<bool>([&](db::Transaction& tx) -> Result<bool> {
      return TRY(find_manifest(tx, "acme/app", reference)).has_value();
    });
  }
  int64_t bytes() {
    return in<int64_t>([](db::Transaction& tx) -> Result<int64_t> {
      return TRY(blob::org_usage_in(tx, "acme", blob::Use::registry)).bytes;
    });
  }
};

ManifestDocument of_blobs(std::vector<std::string> blobs) {
  ManifestDocument document;
  document.blobs = std::move(blobs);
  return document;
}

RetentionRule rule(int64_t keep_newest, int64_t unused_days) {
  RetentionRule out;
  out.keep_newest = keep_newest;
  out.unused_days = unused_days;
  return out;
}

}  // namespace

TEST_CASE_FIXTURE(SweepFixture, "a blob nothing refers to goes after the grace time, not before") {
  const std::string orphan = blob("orphan");
  const std::string used = blob("used");
  manifest("m", of_blobs({used}), {"v1"});
  clock.advance(std::chrono::minutes(59));
  CHECK_EQ(sweep().blobs, 0);
  clock.advance(std::chrono::minutes(2));
  CHECK_EQ(sweep().blobs, 1);
  CHECK(!has_blob(orphan));
  CHECK(has_blob(used));
}

TEST_CASE_FIXTURE(SweepFixture, "a blob a client was told of stays for another grace time") {
  const std::string orphan = blob("orphan");
  clock.advance(std::chrono::minutes(59));
  in<bool>([&](db::Transaction& tx) -> Result<bool> {
    TRY(keep_blob(tx, "acme/app", orphan, clock.now()));
    return true;
  });
  clock.advance(std::chrono::minutes(30));
  CHECK_EQ(sweep().blobs, 0);
  clock.advance(std::chrono::minutes(31));
  CHECK_EQ(sweep().blobs, 1);
}

TEST_CASE_FIXTURE(SweepFixture, "a manifest goes when no tag, index or subject leads to it") {
  const std::string layer = blob("layer");
  const std::string child = manifest("child", of_blobs({layer}));
  ManifestDocument index;
  index.children = {child};
  const std::string parent = manifest("index", index, {"v1"});
  ManifestDocument signature;
  signature.subject = parent;
  const std::string signed_by = manifest("signature", signature);
  const std::string loose = manifest("loose", of_blobs({layer}));
  clock.advance(15 * kDay);
  CHECK_EQ(sweep().manifests, 1);
  CHECK(!has_manifest(loose));
  CHECK(has_manifest(child));
  CHECK(has_manifest(signed_by));
  in<bool>([&](db::Transaction& tx) { return remove_tag(tx, "acme/app", "v1"); });
  CHECK_EQ(sweep().manifests, 3);
  CHECK(!has_blob(layer));
  CHECK_EQ(bytes(), 0);
}

TEST_CASE_FIXTURE(SweepFixture, "an untagged manifest that is pulled by its digest stays") {
  const std::string digest = manifest("m", of_blobs({blob("layer")}));
  clock.advance(13 * kDay);
  UseNotes notes;
  notes.manifest_pulled("acme/app", digest, "");
  must(notes.write(*database, clock.now()));
  clock.advance(13 * kDay);
  CHECK_EQ(sweep().manifests, 0);
  clock.advance(2 * kDay);
  CHECK_EQ(sweep().manifests, 1);
}

TEST_CASE_FIXTURE(SweepFixture, "a rule keeps the newest tags and those of a pattern") {
  Options options;
  options.retention = {rule(2, 0)};
  options.retention[0].keep_tags = "v*";
  for (const char* tag : {"v1", "a", "b", "c"}) {
    manifest(tag, {}, {tag});
    clock.advance(std::chrono::minutes(1));
  }
  CHECK_EQ(sweep(options).tags, 1);
  CHECK(has_manifest("v1"));
  CHECK(!has_manifest("a"));
  CHECK(has_manifest("b"));
  CHECK(has_manifest("c"));
}

TEST_CASE_FIXTURE(SweepFixture, "a rule removes tags that nobody used for its days") {
  Options options;
  options.retention = {rule(0, 30)};
  manifest("old", {}, {"old"});
  manifest("pulled", {}, {"pulled"});
  clock.advance(20 * kDay);
  UseNotes notes;
  notes.manifest_pulled("acme/app", "sha256:x", "pulled");
  must(notes.write(*database, clock.now()));
  clock.advance(11 * kDay);
  CHECK_EQ(sweep(options).tags, 1);
  CHECK(has_manifest("pulled"));
}

TEST_CASE("the first rule whose pattern fits is a repository's") {
  Options options;
  options.retention = {rule(1, 0), rule(2, 0), rule(3, 0)};
  options.retention[0].repositories = "acme/*-cache";
  options.retention[1].repositories = "acme/*";
  CHECK_EQ(rule_for(options, "acme/app-cache").keep_newest, 1);
  CHECK_EQ(rule_for(options, "acme/app").keep_newest, 2);
  CHECK_EQ(rule_for(options, "other/app").keep_newest, 3);
  CHECK_EQ(rule_for({}, "acme/app").untagged_days, 14);
}

TEST_CASE("a star stands for any characters, also none") {
  CHECK(matches_pattern("acme/app", "*"));
  CHECK(matches_pattern("", "*"));
  CHECK(matches_pattern("acme/app", "acme/*"));
  CHECK(matches_pattern("acme/app", "*a*p"));
  CHECK(!matches_pattern("acme/app", "acme"));
  CHECK(!matches_pattern("acme/app", "*b*"));
  CHECK(!matches_pattern("", "a"));
}

TEST_CASE_FIXTURE(SweepFixture, "a purge leaves nothing and gives the bytes back") {
  manifest("m", of_blobs({blob("layer")}), {"v1"});
  blob("orphan");
  CHECK_GT(bytes(), 0);
  const Swept swept = in<Swept>(
      [&](db::Transaction& tx) { return purge_repository(tx, {1, "acme/app"}, clock.now()); });
  CHECK_EQ(swept.tags, 1);
  CHECK_EQ(swept.manifests, 1);
  CHECK_EQ(swept.blobs, 2);
  CHECK_EQ(bytes(), 0);
}

TEST_CASE_FIXTURE(SweepFixture, "eviction takes what nothing leads to, never a tagged image") {
  manifest("tagged", of_blobs({blob("one")}), {"v1"});
  clock.advance(std::chrono::minutes(1));
  manifest("loose", of_blobs({blob("two")}));
  const auto evict = [&] {
    return in<bool>([&](db::Transaction& tx) { return evict_oldest(tx, "acme", "", clock.now()); });
  };
  clock.advance(std::chrono::minutes(1));
  CHECK(evict());
  CHECK(!evict());
  CHECK(has_manifest("v1"));
  CHECK_EQ(bytes(), 9);
}
