// The blob library behind the smallest HTTP surface: what its benchmarks and its crash and bucket
// tests talk to. PUT, GET, HEAD and DELETE of /blobs/{digest} with a job token; every stored blob
// is held by the token's org and repo, in the same way as a cache entry would.
//
//   blob_server DATA [STORE-URL [FREE-BYTES-MIN]]
//
// NIMBUS_BLOB_S3_CA_FILE: as the server takes it. Prints its port and a job token, and serves until
// it is ended.
#include <cstdio>
#include <cstdlib>

#include "access/job_token.h"
#include "base/clock.h"
#include "blob/open_store.h"
#include "blob/quota.h"
#include "blob/upkeep.h"
#include "cache/migrations.h"
#include "net/server.h"
#include "registry/tables.h"

using namespace nimbus;

namespace {

constexpr size_t kBodyBytesMax = size_t{16} << 30;
constexpr int kBlockingThreads = 16;

struct BlobServer {
  net::Loop& loop;
  db::Database& database;
  blob::Store& store;
  blob::QuotaBook& quotas;
  const access::JobTokens& tokens;

  std::optional<access::JobClaims> caller(const net::Request& request) const {
    const auto bearer = request.bearer();
    if (!bearer) return std::nullopt;
    auto claims = tokens.verify(*bearer, system_clock().now());
    if (!claims) return std::nullopt;
    return std::move(*claims);
  }
  static blob::Hold hold_of(const access::JobClaims& claims, const blob::Digest& digest) {
    return {claims.org, claims.repo, blob::Use::cache, "blob:" + digest.hex};
  }

  Task<net::Response> get(net::Request& request);
  Task<net::Response> put(net::Request& request);
  Task<net::Response> remove(net::Request& request);
  Task<Result<blob::BlobInfo>> receive(net::Request& request, access::JobClaims claims,
                                       blob::Digest digest);
};

Task<net::Response> BlobServer::get(net::Request& request) {
  const auto claims = caller(request);
  if (!claims) co_return net::problem(401, "a job token is needed");
  const auto digest = blob::parse_digest(request.parameter("digest"));
  if (!digest) co_return net::problem(digest.error());
  using Found = std::optional<blob::BlobInfo>;
  std::function<Result<Found>(db::Transaction&)> work = [&claims, &digest](db::Transaction& tx) {
    return blob::find_held_in(tx, claims->org, blob::Use::cache, *digest);
  };
  const auto held = co_await database.read<Found>(std::move(work));
  if (!held) co_return net::problem(held.error());
  if (!*held) co_return net::problem(404, "there is no such blob");
  const auto opened = co_await store.open(*digest);
  if (!opened) co_return net::problem(opened.error());
  net::FileAnswer answer;
  answer.etag = "\"" + to_string(*digest) + "\"";
  co_return (*opened)->respond(request, answer);
}

Task<Result<blob::BlobInfo>> BlobServer::receive(net::Request& request, access::JobClaims claims,
                                                 blob::Digest digest) {
  const auto length = request.headers.find("Content-Length");
  blob::SpaceRequest space{claims.org, claims.repo, blob::Use::cache,
                           length ? std::atoll(std::string(*length).c_str()) : 0};
  CO_TRY_ASSIGN(const auto reservation, co_await quotas.reserve(std::move(space)));
  CO_TRY_ASSIGN(const auto upload, co_await store.begin({}));
  for (;;) {
    CO_TRY_ASSIGN(std::string piece, co_await request.reader->read());
    if (piece.empty()) break;
    CO_TRY(co_await upload->write(std::move(piece)));
  }
  CO_TRY_ASSIGN(const blob::BlobInfo info, co_await upload->commit(digest));
  std::function<Result<bool>(db::Transaction&)> work = [&](db::Transaction& tx) {
    return blob::hold_in(tx, hold_of(claims, digest), info, system_clock().now());
  };
  CO_TRY(co_await database.write<bool>(std::move(work)));
  co_return info;
}

Task<net::Response> BlobServer::put(net::Request& request) {
  const auto claims = caller(request);
  if (!claims) co_return net::problem(401, "a job token is needed");
  const auto digest = blob::parse_digest(request.parameter("digest"));
  if (!digest) co_return net::problem(digest.error());
  const auto stored = co_await receive(request, *claims, *digest);
  if (!stored) co_return net::problem(stored.error());
  co_return net::Response::empty(201);
}

Task<net::Response> BlobServer::remove(net::Request& request) {
  const auto claims = caller(request);
  if (!claims) co_return net::problem(401, "a job token is needed");
  const auto digest = blob::parse_digest(request.parameter("digest"));
  if (!digest) co_return net::problem(digest.error());
  std::function<Result<bool>(db::Transaction&)> work = [&](db::Transaction& tx) {
    return blob::release_in(tx, hold_of(*claims, *digest), *digest, system_clock().now());
  };
  const auto released = co_await database.write<bool>(std::move(work));
  if (!released) co_return net::problem(released.error());
  co_return net::Response::empty(*released ? 204 : 404);
}

std::string make_token(const access::JobTokens& tokens) {
  access::JobClaimsInput input;
  input.org = "acme";
  input.repo = "web";
  input.ref = "refs/heads/main";
  input.job = {1};
  input.fence = {1};
  input.now = system_clock().now();
  input.expires_at = input.now + std::chrono::hours(24);
  return tokens.sign(access::make_job_claims(input));
}

Result<void> serve(const std::string& data, const std::string& url, int64_t free_bytes_min) {
  net::Loop loop(kBlockingThreads);
  Metrics metrics;
  const auto database = TRY(db::Database::open({.url = "sqlite:" + data + "/nimbus.db"}));
  // With the tables of what usually stands above, so that `nimbus cache fsck` finds them empty.
  for (const db::MigrationSet* set :
       {&blob::blob_migrations(), &cache::cache_migrations(), &registry::registry_migrations()}) {
    TRY(db::migrate(*database, *set, system_clock().now()));
  }
  blob::OpenStoreOptions wanted;
  wanted.url = url;
  wanted.directory = data + "/blobs";
  if (const char* authority = std::getenv("NIMBUS_BLOB_S3_CA_FILE")) wanted.s3_ca_file = authority;
  const auto store = TRY(blob::open_store(loop, wanted));
  blob::QuotaBook quotas(
      *database, *store,
      {.limits = [](db::Transaction&, const std::string&, blob::Use) -> Result<blob::QuotaLimits> {
         return blob::QuotaLimits{};
       },
       .free_bytes_min = free_bytes_min});
  blob::Upkeep upkeep(loop, *database, *store, quotas, system_clock(), metrics, {});
  upkeep.start();
  const access::JobTokens tokens({Secret(std::string(access::kJobTokenKeyBytesMin, 'k'))});
  BlobServer server{loop, *database, *store, quotas, tokens};
  const net::RouteOptions streamed{.body_bytes_max = kBodyBytesMax, .stream_body = true};
  net::Router router;
  router.get("/blobs/{digest}", [&server](net::Request& r) { return server.get(r); });
  router.del("/blobs/{digest}", [&server](net::Request& r) { return server.remove(r); });
  router.put("/blobs/{digest}", [&server](net::Request& r) { return server.put(r); }, streamed);
  const auto listening = TRY(net::Server::listen(loop, std::move(router), {}));
  std::printf("port %d token %s\n", listening->port(), make_token(tokens).c_str());
  std::fflush(stdout);
  loop.run();
  loop.end_tasks();
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "blob_server DATA [STORE-URL [FREE-BYTES-MIN]]\n");
    return 2;
  }
  const auto served =
      serve(argv[1], argc > 2 ? argv[2] : "", argc > 3 ? std::atoll(argv[3]) : int64_t{0});
  if (!served) std::fprintf(stderr, "%s\n", served.error().message.c_str());
  return served ? 0 : 1;
}
