// For tests: a cache over a store and a database of its own, job tokens of any standing, and the
// verbs of the real clients, through the router as the server would call it. Threads: one.
#pragma once

#include <unistd.h>

#include <boost/json.hpp>
#include <map>

#include "access/access_fixture.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "blob/catalog.h"
#include "blob/disk_store.h"
#include "cache/cache.h"
#include "cache/migrations.h"

namespace nimbus::cache {

class StringBody final : public net::BodyReader {
 public:
  explicit StringBody(std::string bytes) : bytes_(std::move(bytes)) {}
  Task<Result<std::string>> read() override {
    if (broken) co_return fail(Code::bad_request, "the body broke off");
    co_return std::exchange(bytes_, std::string());
  }
  bool broken = false;

 private:
  std::string bytes_;
};

struct Standing {
  std::string org = "acme";
  std::string repo = "app";
  std::string ref = "refs/heads/main";
  std::string base_ref = {};
  std::string default_ref = "refs/heads/main";
  std::string cache_ref = {};
  access::Trust trust = access::Trust::branch;
  int64_t job = 12;
  int64_t run = 77;
};

struct Reply {
  int status = 0;
  std::string body;
  net::Headers headers;
  boost::json::object json() const { return *parse_json_object(body); }
  std::string text(std::string_view field) const {
    return std::string(json().at(field).as_string());
  }
};

struct CacheFixture : access::AccessFixture {
  static constexpr std::string_view kV2 = "/twirp/github.actions.results.api.v1.CacheService/";
  static constexpr std::string_view kArtifacts =
      "/twirp/github.actions.results.api.v1.ArtifactService/";
  static constexpr std::string_view kVersion =
      "27f8be18ef5e1caed930dca7d1eee52027a00251f123574ae008fb5bc130f5ca";

  Metrics metrics;
  blob::QuotaLimits limits;
  std::unique_ptr<blob::DiskStore> store;
  std::unique_ptr<blob::QuotaBook> quota;
  CacheOptions options;
  std::unique_ptr<Cache> cache;
  net::Router router;
  bool body_breaks = false;  // of the next request

  CacheFixture() {
    configure_log(LogLevel::error, LogFormat::text);
    clock.set_now(*parse_rfc3339("2026-03-01T12:00:00Z"));
    migrate(blob::blob_migrations());
    migrate(cache_migrations());
    auto opened = blob::DiskStore::open_directory(loop, {.directory = dir + "/blobs"});
    REQUIRE(opened.has_value());
    store = std::move(*opened);
    blob::QuotaBook::Options quotas;
    quotas.limits = [this](db::Transaction&, const std::string&, blob::Use) {
      return Result<blob::QuotaLimits>(limits);
    };
    quota = std::make_unique<blob::QuotaBook>(*database, *store, std::move(quotas));
    options.url_key = Secret("0123456789abcdef0123456789abcdef");
    cache = std::make_unique<Cache>(
        CacheParts{loop, *database, *store, *quota, authenticator, clock, random, metrics},
        options);
    cache->add_routes(router);
  }
  ~CacheFixture() {
    loop.end_tasks();
    cache.reset();
    store.reset();
  }

  std::string job(const Standing& standing = {}) {
    access::JobClaimsInput input;
    input.org = standing.org;
    input.repo = standing.repo;
    input.ref = standing.ref;
    input.cache_ref = standing.cache_ref;
    input.base_ref = standing.base_ref;
    input.default_ref = standing.default_ref;
    input.job = {standing.job};
    input.fence = {1};
    input.run_id = standing.run;
    input.trust = standing.trust;
    input.now = clock.now();
    input.expires_at = clock.now() + std::chrono::seconds(60);
    return job_tokens.sign(access::make_job_claims(input));
  }
  std::string fork() {
    Standing standing;
    standing.cache_ref = "refs/nimbus/fork/2/main";
    standing.trust = access::Trust::fork;
    standing.job = 13;
    standing.run = 78;
    return job(standing);
  }

  using Fields = std::map<std::string, std::string>;
  Reply call(std::string method, std::string target, std::string_view bearer, std::string body = "",
             const Fields& headers = {}) {
    net::Request made = request(std::move(method), target.substr(0, target.find('?')), bearer);
    const size_t mark = target.find('?');
    for (const std::string_view pair :
         split(mark == std::string::npos ? "" : std::string_view(target).substr(mark + 1), '&')) {
      if (pair.empty()) continue;
      const size_t equals = pair.find('=');
      made.query.emplace_back(net::percent_decode(pair.substr(0, equals)),
                              net::percent_decode(pair.substr(equals + 1)));
    }
    made.headers.set("Host", "cache.test:8080");
    made.headers.set("Content-Type", "application/json");
    made.headers.set("Content-Length", std::to_string(body.size()));
    for (const auto& [name, value] : headers) made.headers.set(name, value);
    const net::RouteMatch match = router.match(made.method, made.path);
    if (match.handler == nullptr) return {match.status, "", {}};
    made.parameters = match.parameters;
    StringBody reader(body);
    reader.broken = std::exchange(body_breaks, false);
    if (match.options.stream_body) {
      made.reader = &reader;
    } else {
      made.body = std::move(body);
    }
    net::Response response = run((*match.handler)(made));
    Reply reply{response.status, std::move(response.body), response.headers};
    if (response.file && made.method != "HEAD") reply.body = bytes_of(*response.file);
    return reply;
  }

  Reply twirp(std::string_view service, std::string_view method, std::string_view bearer,
              const boost::json::object& body) {
    return call("POST", std::string(service) + std::string(method), bearer,
                boost::json::serialize(body));
  }
  // The path and query of a URL that this server made.
  static std::string target_of(const std::string& url) {
    const std::string origin = "http://cache.test:8080";
    REQUIRE(url.starts_with(origin));
    return url.substr(origin.size());
  }

  // Saves as @actions/cache does; false: it was told that it cannot.
  bool save(std::string_view token, const std::string& key, const std::string& bytes,
            std::string_view version = kVersion) {
    const Reply created =
        twirp(kV2, "CreateCacheEntry", token, {{"key", key}, {"version", version}});
    if (created.status != 200 || !created.json().at("ok").as_bool()) return false;
    const std::string url = target_of(created.text("signed_upload_url"));
    CHECK_EQ(call("PUT", url, "", bytes, {{"x-ms-blob-type", "BlockBlob"}}).status, 201);
    const Reply done = finalize(token, key, bytes.size(), version);
    return done.status == 200 && done.json().at("ok").as_bool();
  }
  Reply finalize(std::string_view token, const std::string& key, size_t size,
                 std::string_view version = kVersion) {
    return twirp(kV2, "FinalizeCacheEntryUpload", token,
                 {{"key", key}, {"size_bytes", std::to_string(size)}, {"version", version}});
  }
  // "" for a miss, else the bytes; `matched` is the key that was found.
  std::string restore(std::string_view token, const std::string& key,
                      const std::vector<std::string>& restore_keys = {},
                      std::string_view version = kVersion) {
    boost::json::object body{{"key", key}, {"version", version}};
    if (!restore_keys.empty()) body["restore_keys"] = boost::json::value_from(restore_keys);
    const Reply found = twirp(kV2, "GetCacheEntryDownloadURL", token, body);
    CHECK_EQ(found.status, 200);
    if (!found.json().at("ok").as_bool()) return "";
    matched = found.text("matched_key");
    return call("GET", target_of(found.text("signed_download_url")), "").body;
  }
  std::string matched;

  int64_t usage(const std::string& org) {
    std::function<Result<int64_t>(db::Transaction&)> work =
        [org](db::Transaction& tx) -> Result<int64_t> {
      return TRY(blob::org_usage_in(tx, org, blob::Use::cache)).bytes;
    };
    return must(database->read<int64_t>(work));
  }
  void sweep() {
    run([](Cache& c) -> Task<bool> {
      co_await c.sweep();
      co_return true;
    }(*cache));
  }
  // Both clocks: expiry of uploads goes by the steady one.
  void pass(Duration time) { clock.advance(time); }

 private:
  static std::string bytes_of(const net::FileBody& file) {
    std::string bytes(file.size, '\0');
    REQUIRE_EQ(pread(file.fd, bytes.data(), bytes.size(), static_cast<off_t>(file.offset)),
               static_cast<ssize_t>(bytes.size()));
    return bytes;
  }
};

}  // namespace nimbus::cache
