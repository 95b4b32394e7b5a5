#include "blob/upkeep.h"

#include <fstream>
#include <sstream>

#include "base/fake_clock.h"
#include "blob/blob_fixture.h"
#include "blob/fsck.h"

namespace nimbus::blob {
namespace {

struct UpkeepFixture : StoreFixture, CatalogFixture {
  UpkeepFixture()
      : quotas(*database, *store,
               {.limits = [this](db::Transaction&, const std::string&, Use) -> Result<QuotaLimits> {
                  return limits;
                },
                .free_bytes_min = 0}),
        upkeep(loop, *database, *store, quotas, system_clock(), metrics, {}) {
    upkeep.losses().on_loss(Use::cache, [this](db::Transaction&, const Hold& hold, const Digest&) {
      dropped.push_back(hold.holder);
      return Result<void>();
    });
  }
  Hold entry(int number) { return {"acme", "web", Use::cache, "cache:" + std::to_string(number)}; }
  BlobInfo put_held(int number, const std::string& bytes) {
    const BlobInfo blob{put(bytes), static_cast<int64_t>(bytes.size())};
    REQUIRE(hold(entry(number), blob, system_clock().now()));
    return blob;
  }
  Collected collect() {
    const auto collected = run(upkeep.collector().collect(Duration(0)));
    REQUIRE(collected);
    return *collected;
  }
  FsckReport check(bool repair) {
    FsckOptions options;
    options.repair = repair;
    options.grace = Duration(0);
    const auto report = run(fsck(*database, *store, upkeep.collector(), upkeep.losses(), options));
    REQUIRE(report);
    return *report;
  }
  void sql(std::string_view text) {
    REQUIRE(database->write_now([&](db::Transaction& tx) -> Result<void> {
      TRY(tx.run(text));
      return {};
    }));
  }
  SpaceRequest request(int64_t bytes, const std::string& repo = "web") {
    return {"acme", repo, Use::cache, bytes};
  }

  using StoreFixture::run;
  QuotaLimits limits{1000, 0};
  Metrics metrics;
  QuotaBook quotas;
  Upkeep upkeep;
  std::vector<std::string> dropped;
};

}  // namespace

TEST_CASE_FIXTURE(UpkeepFixture, "a blob goes when its last hold has gone, and not before") {
  const BlobInfo blob = put_held(1, "content");
  CHECK(collect().blobs == 0);
  REQUIRE(release(entry(1), blob.digest, from_us(1)));
  CHECK(collect().bytes == 7);
  CHECK(get(blob.digest).error().code == Code::not_found);
  CHECK(files_in("sha256") == 0);
  put_held(2, "content");
  CHECK(collect().blobs == 0);
}

TEST_CASE_FIXTURE(UpkeepFixture, "a blob between its commit and its hold is not collected") {
  const BlobInfo blob = put_held(1, "content");
  REQUIRE(release(entry(1), blob.digest, from_us(1)));
  auto upload = begin();
  REQUIRE(run(upload->write("content")));
  REQUIRE(run(upload->commit(std::nullopt)));
  CHECK(collect().blobs == 0);
  REQUIRE(hold(entry(2), blob));
  upload.reset();
  CHECK(collect().blobs == 0);
  CHECK(get(blob.digest));
}

TEST_CASE_FIXTURE(UpkeepFixture, "a removal that a crash interrupted is finished") {
  const BlobInfo blob = put_held(1, "content");
  REQUIRE(release(entry(1), blob.digest, system_clock().now()));
  REQUIRE(database->write_now([&](db::Transaction& tx) -> Result<void> {
    TRY(condemn_in(tx, blob, system_clock().now()));
    return {};
  }));
  REQUIRE(run(upkeep.collector().collect(std::chrono::hours(1))));
  CHECK(files_in("sha256") == 0);
  CHECK(hold(entry(1), blob));
}

TEST_CASE_FIXTURE(UpkeepFixture, "bytes without a row are swept once they are old") {
  put("orphan");
  put_held(1, "held");
  CHECK(run(upkeep.collector().sweep(std::chrono::hours(1)))->blobs == 0);
  CHECK(run(upkeep.collector().sweep(Duration(-1'000'000)))->blobs == 1);
  CHECK(files_in("sha256") == 1);
}

TEST_CASE_FIXTURE(UpkeepFixture,
                  "the scrubber takes out what is rotten or missing, entries and all") {
  const BlobInfo good = put_held(1, "good");
  const BlobInfo rotten = put_held(2, "rotten");
  const BlobInfo missing = put_held(3, "missing");
  std::ofstream(store->path_of(rotten.digest)) << "ROTTEN";
  std::filesystem::remove(store->path_of(missing.digest));
  int64_t lost = 0;
  for (;;) {
    const auto scrubbed = run(upkeep.scrubber().scrub(2, 0));
    REQUIRE(scrubbed);
    lost += scrubbed->lost;
    if (scrubbed->blobs == 0) break;
  }
  CHECK(lost == 2);
  CHECK(dropped.size() == 2);
  CHECK(org_bytes("acme") == 4);
  CHECK(files_in("quarantine") == 1);
  CHECK(get(good.digest));
  CHECK(get(rotten.digest).error().code == Code::not_found);
  CHECK(check(false).clean());
}

TEST_CASE_FIXTURE(UpkeepFixture, "fsck finds nothing wrong where nothing is") {
  put_held(1, "one");
  put_held(2, "one");
  put_held(3, "two");
  const FsckReport report = check(false);
  CHECK(report.clean());
  CHECK(report.blobs == 2);
  CHECK(report.bytes == 6);
}

TEST_CASE_FIXTURE(UpkeepFixture,
                  "fsck names what is wrong, changes nothing, and repairs when told to") {
  const BlobInfo rotten = put_held(1, "rotten");
  const BlobInfo missing = put_held(2, "missing");
  const BlobInfo torn = put_held(3, "torn apart");
  put("orphan");
  std::ofstream(store->path_of(rotten.digest)) << "ROTTEN";
  std::filesystem::remove(store->path_of(missing.digest));
  std::filesystem::resize_file(store->path_of(torn.digest), 3);
  sql("UPDATE blob_org_usage SET bytes = bytes + 5");
  sql("INSERT INTO blob_holds VALUES ('sha256:00', 'acme', 'cache', 'web', 'cache:9')");
  sql("INSERT INTO blobs VALUES ('sha256:" + std::string(64, '0') + "', 1, 1, NULL, 0)");
  const FsckReport report = check(false);
  std::map<std::string, int> kinds;
  for (const Finding& finding : report.findings) {
    ++kinds[finding.kind];
    CHECK_FALSE(finding.repaired);
  }
  CHECK(kinds == std::map<std::string, int>{{"missing", 2},
                                            {"orphan", 1},
                                            {"rotten", 1},
                                            {"state", 1},
                                            {"unknown-hold", 1},
                                            {"usage", 1},
                                            {"wrong-size", 1}});
  CHECK(check(false).findings.size() == report.findings.size());
  for (const Finding& finding : check(true).findings) CHECK_MESSAGE(finding.repaired, finding.kind);
  CHECK(check(false).clean());
  CHECK(org_bytes("acme") == 0);
}

TEST_CASE_FIXTURE(UpkeepFixture, "room is counted while it is reserved and given back after") {
  auto first = run(quotas.reserve(request(600)));
  REQUIRE(first);
  CHECK(run(quotas.reserve(request(600))).error().code == Code::too_large);
  CHECK(quotas.reserved_bytes() == 600);
  first->give_back();
  CHECK(quotas.reserved_bytes() == 0);
  CHECK(run(quotas.reserve(request(600))));
}

TEST_CASE_FIXTURE(UpkeepFixture, "a reservation grows as far as the quota goes") {
  auto reservation = run(quotas.reserve(request(100)));
  REQUIRE(reservation);
  REQUIRE(run(quotas.grow(*reservation, request(900))));
  CHECK(reservation->bytes() == 900);
  CHECK(run(quotas.grow(*reservation, request(1100))).error().code == Code::too_large);
  CHECK(reservation->bytes() == 900);
  CHECK(quotas.reserved_bytes() == 900);
  REQUIRE(run(quotas.grow(*reservation, request(10))));
  CHECK(reservation->bytes() == 900);
}

TEST_CASE_FIXTURE(UpkeepFixture, "a repo has its own bound within the org's") {
  limits = {0, 500};
  CHECK(run(quotas.reserve(request(501))).error().code == Code::too_large);
  const auto one = run(quotas.reserve(request(400)));
  CHECK(run(quotas.reserve(request(400))).error().code == Code::too_large);
  CHECK(run(quotas.reserve(request(400, "other"))));
}

TEST_CASE_FIXTURE(UpkeepFixture, "a full quota evicts the org's own entries down to the low mark") {
  const std::string bytes(900, 'x');
  const BlobInfo blob = put_held(1, bytes);
  std::vector<int64_t> asked;
  quotas.set_evict(Use::cache, [&](EvictionRequest eviction) -> Task<Result<int64_t>> {
    CHECK(eviction.org == "acme");
    asked.push_back(eviction.bytes);
    REQUIRE(release(entry(1), blob.digest));
    co_return 900;
  });
  CHECK(run(quotas.reserve(request(200))));
  CHECK(asked == std::vector<int64_t>{900 + 200 - 850});
  CHECK(run(quotas.reserve(request(2000))).error().code == Code::too_large);
  CHECK(asked.size() == 1);
}

TEST_CASE_FIXTURE(UpkeepFixture, "an org above its high mark is trimmed to the low one") {
  const BlobInfo blob = put_held(1, std::string(960, 'x'));
  int64_t asked = 0;
  quotas.set_evict(Use::cache, [&](EvictionRequest eviction) -> Task<Result<int64_t>> {
    asked += eviction.bytes;
    co_return eviction.bytes;
  });
  CHECK(*run(quotas.trim()) == 960 - 850);
  REQUIRE(release(entry(1), blob.digest));
  CHECK(*run(quotas.trim()) == 0);
  CHECK(asked == 960 - 850);
}

TEST_CASE_FIXTURE(UpkeepFixture, "a disk without room is told before a byte is written") {
  QuotaBook strict(*database, *store,
                   {.limits = [](db::Transaction&, const std::string&, Use) -> Result<QuotaLimits> {
                      return QuotaLimits{};
                    },
                    .free_bytes_min = int64_t{1} << 60});
  int reclaimed = 0;
  strict.set_reclaim([&]() -> Task<void> {
    ++reclaimed;
    co_return;
  });
  const auto refused = run(strict.reserve(request(1)));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::insufficient_storage);
  CHECK(http_status(refused.error().code) == 507);
  CHECK(reclaimed == 1);
  CHECK(strict.reserved_bytes() == 0);
}

TEST_CASE_FIXTURE(UpkeepFixture, "nothing is evicted for a disk that would be full all the same") {
  put_held(1, std::string(5000, 'x'));
  QuotaBook strict(*database, *store,
                   {.limits = [](db::Transaction&, const std::string&, Use) -> Result<QuotaLimits> {
                      return QuotaLimits{};
                    },
                    .free_bytes_min = int64_t{1} << 60});
  int evictions = 0;
  strict.set_evict(Use::cache, [&](EvictionRequest) -> Task<Result<int64_t>> {
    ++evictions;
    co_return int64_t{0};
  });
  CHECK_FALSE(run(strict.reserve(request(1))));
  CHECK(evictions == 0);
}

}  // namespace nimbus::blob
