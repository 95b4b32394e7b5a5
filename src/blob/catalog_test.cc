#include "blob/catalog.h"

#include "blob/blob_fixture.h"

namespace nimbus::blob {
namespace {

const BlobInfo kBlob{digest_of("one"), 100};
const BlobInfo kOther{digest_of("two"), 7};

Hold cache_hold(const std::string& org, const std::string& repo, const std::string& holder) {
  return {org, repo, Use::cache, holder};
}

}  // namespace

TEST_CASE_FIXTURE(CatalogFixture,
                  "an org pays for a blob once, however many of its entries hold it") {
  CHECK(*hold(cache_hold("acme", "a", "cache:1"), kBlob));
  CHECK(*hold(cache_hold("acme", "a", "cache:2"), kBlob));
  CHECK(*hold(cache_hold("acme", "b", "cache:3"), kBlob));
  CHECK(org_bytes("acme") == 100);
  CHECK(repo_bytes("acme", "a") == 100);
  CHECK(repo_bytes("acme", "b") == 100);
  CHECK(*release(cache_hold("acme", "a", "cache:1"), kBlob.digest));
  CHECK(repo_bytes("acme", "a") == 100);
  CHECK(*release(cache_hold("acme", "a", "cache:2"), kBlob.digest));
  CHECK(repo_bytes("acme", "a") == 0);
  CHECK(org_bytes("acme") == 100);
  CHECK(*release(cache_hold("acme", "b", "cache:3"), kBlob.digest));
  CHECK(org_bytes("acme") == 0);
}

TEST_CASE_FIXTURE(CatalogFixture, "a hold that is taken twice or given up twice counts once") {
  const Hold one = cache_hold("acme", "a", "cache:1");
  CHECK(*hold(one, kBlob));
  CHECK_FALSE(*hold(one, kBlob));
  CHECK(org_bytes("acme") == 100);
  CHECK(*release(one, kBlob.digest));
  CHECK_FALSE(*release(one, kBlob.digest));
  CHECK(org_bytes("acme") == 0);
}

TEST_CASE_FIXTURE(CatalogFixture, "uses are counted apart, and names without case") {
  CHECK(*hold(cache_hold("Acme", "Web", "cache:1"), kBlob));
  CHECK(*hold({"acme", "web", Use::registry, "web@1"}, kBlob));
  CHECK(org_bytes("ACME") == 100);
  CHECK(org_bytes("acme", Use::registry) == 100);
  CHECK(repo_bytes("acme", "WEB") == 100);
}

TEST_CASE_FIXTURE(CatalogFixture, "a blob is visible to the org that holds it and to nobody else") {
  CHECK(*hold(cache_hold("acme", "a", "cache:1"), kBlob));
  const auto find = [&](const std::string& org, Use use) {
    return *in<std::optional<BlobInfo>>(
        [&](db::Transaction& tx) { return find_held_in(tx, org, use, kBlob.digest); });
  };
  REQUIRE(find("acme", Use::cache));
  CHECK(find("acme", Use::cache)->size == 100);
  CHECK_FALSE(find("acme", Use::registry));
  CHECK_FALSE(find("evil", Use::cache));
  const auto in_repo = [&](const std::string& repo) {
    return in<std::optional<BlobInfo>>([&](db::Transaction& tx) {
             return find_held_in(tx, "acme", repo, Use::cache, kBlob.digest);
           })
        ->has_value();
  };
  CHECK(in_repo("a"));
  CHECK_FALSE(in_repo("b"));
}

TEST_CASE_FIXTURE(CatalogFixture, "a holder gives up all of its blobs at once") {
  const Hold holder{"acme", "app", Use::registry, "app@1"};
  CHECK(*hold(holder, kBlob));
  CHECK(*hold(holder, kOther));
  const auto gone =
      in<int64_t>([&](db::Transaction& tx) { return release_holder_in(tx, holder, from_us(5)); });
  CHECK(*gone == 2);
  CHECK(org_bytes("acme", Use::registry) == 0);
}

TEST_CASE_FIXTURE(CatalogFixture, "a blob is garbage once its last hold is gone for long enough") {
  const auto garbage = [&](int64_t before) {
    return in<std::vector<BlobInfo>>(
               [&](db::Transaction& tx) { return garbage_in(tx, from_us(before), 10); })
        ->size();
  };
  CHECK(*hold(cache_hold("acme", "a", "cache:1"), kBlob));
  CHECK(garbage(100) == 0);
  CHECK(*release(cache_hold("acme", "a", "cache:1"), kBlob.digest, from_us(50)));
  CHECK(garbage(49) == 0);
  CHECK(garbage(50) == 1);
  CHECK(*hold(cache_hold("acme", "a", "cache:2"), kBlob));
  CHECK(garbage(100) == 0);
}

TEST_CASE_FIXTURE(CatalogFixture, "a condemned blob cannot be held until its bytes are gone") {
  const auto condemn = [&] {
    return *in<bool>([&](db::Transaction& tx) { return condemn_in(tx, kBlob, from_us(9)); });
  };
  const Hold one = cache_hold("acme", "a", "cache:1");
  CHECK(*hold(one, kBlob));
  CHECK_FALSE(condemn());
  CHECK(*release(one, kBlob.digest));
  CHECK(condemn());
  const auto refused = hold(one, kBlob);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::unavailable);
  CHECK(org_bytes("acme") == 0);
  REQUIRE(database->write_now([&](db::Transaction& tx) { return forget_in(tx, kBlob.digest); }));
  CHECK(*hold(one, kBlob));
}

}  // namespace nimbus::blob
