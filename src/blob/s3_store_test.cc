// The store in a bucket, before the smallest bucket there is. Signatures, faults and multipart
// uploads are tested against stricter ones (tests/flow).
#include "blob/s3_store.h"

#include <map>

#include "base/random.h"
#include "blob/blob_fixture.h"
#include "blob/scrubber.h"
#include "blob/store_watch.h"
#include "net/server.h"

namespace nimbus::blob {
namespace {

// PUT, GET (whole), HEAD, DELETE and copies of objects.
class SmallBucket {
 public:
  explicit SmallBucket(net::Loop& loop) {
    net::Router router;
    router.get("/builds/{key...}", [this](net::Request& request) -> Task<net::Response> {
      if (away) co_return net::Response::empty(503);
      const auto object = objects.find(request.parameter("key"));
      if (object == objects.end()) co_return net::Response::empty(404);
      co_return net::Response::text(200, object->second);
    });
    router.put("/builds/{key...}", [this](net::Request& request) -> Task<net::Response> {
      const auto from = request.headers.find("x-amz-copy-source");
      std::string bytes = from ? objects[std::string(from->substr(8))] : request.body;
      objects[request.parameter("key")] = std::move(bytes);
      co_return net::Response::empty(200);
    });
    router.del("/builds/{key...}", [this](net::Request& request) -> Task<net::Response> {
      objects.erase(request.parameter("key"));
      co_return net::Response::empty(204);
    });
    auto listening = net::Server::listen(loop, std::move(router), {});
    REQUIRE(listening);
    server = std::move(*listening);
  }

  std::map<std::string, std::string> objects;
  bool away = false;
  std::unique_ptr<net::Server> server;
};

struct BucketFixture : CatalogFixture {
  BucketFixture() {
    S3Options options;
    options.attempts_max = 2;
    const std::string port = std::to_string(bucket.server->port());
    options.location = *parse_s3_url("s3://builds?endpoint=http://127.0.0.1:" + port);
    auto credentials = std::make_unique<AwsCredentialChain>(
        loop, AwsCredentials{"key", Secret("secret"), Secret()},
        [](const std::string&) { return nullptr; }, system_clock());
    near = *DiskStore::open_directory(loop, {.directory = directory.path + "/blobs"});
    store = std::make_unique<S3Store>(
        loop, std::move(near),
        std::make_unique<S3Client>(loop, std::move(options), std::move(credentials), system_clock(),
                                   system_random()),
        S3Store::Options{});
  }
  ~BucketFixture() { loop.end_tasks(); }
  template <typename T>
  T run(Task<T> task) {
    return run_task(loop, std::move(task));
  }
  BlobInfo put(const std::string& bytes) {
    const auto upload = run(store->begin({}));
    REQUIRE(upload);
    REQUIRE(run((*upload)->write(bytes)));
    const auto info = run((*upload)->commit(std::nullopt));
    REQUIRE(info);
    REQUIRE(hold({"acme", "web", Use::cache, "cache:" + bytes}, *info));
    return *info;
  }
  std::string& object_of(const BlobInfo& blob) {
    const std::string& hex = blob.digest.hex;
    return bucket.objects["sha256/" + hex.substr(0, 2) + "/" + hex];
  }
  Health verify(const BlobInfo& blob) {
    const auto health = run(store->verify(blob.digest, int64_t{1} << 20));
    REQUIRE(health);
    return *health;
  }

  net::Loop loop;
  SmallBucket bucket{loop};
  std::unique_ptr<DiskStore> near;
  std::unique_ptr<S3Store> store;
};

}  // namespace

TEST_CASE_FIXTURE(BucketFixture, "an object's bytes are read and compared, near copy or not") {
  const BlobInfo blob = put("content");
  CHECK(verify(blob) == Health::good);
  object_of(blob) = "CONTENT";
  CHECK(verify(blob) == Health::rotten);
  object_of(blob) = "conten";
  CHECK(verify(blob) == Health::rotten);
  bucket.objects.clear();
  CHECK(verify(blob) == Health::missing);
}

TEST_CASE_FIXTURE(BucketFixture,
                  "the scrubber takes a bucket's rotten blobs out, entries and all") {
  const BlobInfo good = put("good");
  const BlobInfo rotten = put("rotten");
  const BlobInfo missing = put("missing");
  object_of(rotten)[2] = 'x';
  bucket.objects.erase("sha256/" + missing.digest.hex.substr(0, 2) + "/" + missing.digest.hex);
  Collector collector(*database, *store, system_clock());
  LossBook losses;
  Scrubber scrubber(*database, *store, collector, losses);
  const auto scrubbed = run(scrubber.scrub(10, int64_t{1} << 20));
  REQUIRE(scrubbed);
  CHECK(scrubbed->blobs == 3);
  CHECK(scrubbed->lost == 2);
  CHECK(org_bytes("acme") == good.size);
  CHECK(run(store->open(good.digest)));
  CHECK(run(store->open(rotten.digest)).error().code == Code::not_found);
  const std::string& hex = rotten.digest.hex;
  CHECK(bucket.objects["quarantine/sha256/" + hex.substr(0, 2) + "/" + hex] == "roxten");
  CHECK(bucket.objects.size() == 2);
}

TEST_CASE_FIXTURE(BucketFixture, "the watch sees a bucket that is away, and that it is back") {
  Metrics metrics;
  StoreWatch watch(loop, *store, int64_t{1} << 60, metrics);
  const auto look = [&] {
    return run([](StoreWatch& w) -> Task<StoreWatch::View> {
      co_await w.look();
      co_return w.view();
    }(watch));
  };
  CHECK(watch.view().state == StoreWatch::State::unknown);
  CHECK(look().state == StoreWatch::State::good);
  bucket.away = true;
  CHECK(look().state == StoreWatch::State::down);
  CHECK(watch.view().detail == "the bucket does not answer");
  CHECK(metrics.expose().find("nimbus_blob_store_up 0") != std::string::npos);
  bucket.away = false;
  CHECK(look().state == StoreWatch::State::good);
  CHECK(bucket.objects.empty());
}

}  // namespace nimbus::blob
