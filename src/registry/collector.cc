#include "registry/collector.h"

#include "base/log.h"
#include "registry/tables.h"

namespace nimbus::registry {
namespace {

constexpr Duration kNotesEvery = std::chrono::seconds(5);
constexpr int64_t kPage = 200;
constexpr int kEvictedAtOnceMax = 1'000;

constexpr const char* kRemoved = "nimbus_registry_removed_total";
constexpr const char* kRemovedHelp = "Removed by retention, eviction and garbage collection.";

}  // namespace

Collector::Collector(Core& core, UploadRequests& uploads, Metrics& metrics)
    : core_(core),
      uploads_(uploads),
      tags_removed_(metrics.counter(kRemoved, kRemovedHelp, {{"kind", "tag"}})),
      manifests_removed_(metrics.counter(kRemoved, kRemovedHelp, {{"kind", "manifest"}})),
      blobs_removed_(metrics.counter(kRemoved, kRemovedHelp, {{"kind", "blob"}})) {}

void Collector::count(const Swept& swept) {
  tags_removed_.add(static_cast<double>(swept.tags));
  manifests_removed_.add(static_cast<double>(swept.manifests));
  blobs_removed_.add(static_cast<double>(swept.blobs));
}

// Until a transaction finds nothing more, so that no single one is long.
Task<Result<Swept>> Collector::sweep_one(const RepositoryRow& repository) {
  Swept total;
  for (;;) {
    std::function<Result<Swept>(db::Transaction&)> work =
        [repository, &options = core_.options, now = core_.clock.now()](db::Transaction& tx) {
          return sweep_repository(tx, repository, options, now);
        };
    CO_TRY_ASSIGN(const Swept swept, co_await core_.database.write<Swept>(std::move(work)));
    if (!swept.any()) co_return total;
    core_.cache.forget(repository.name);
    count(swept);
    total.tags += swept.tags;
    total.manifests += swept.manifests;
    total.blobs += swept.blobs;
  }
}

Task<Result<Swept>> Collector::sweep() {
  CO_TRY(co_await core_.uses.write(core_.database, core_.clock.now()));
  CO_TRY(co_await uploads_.end_old(core_.clock.now() - core_.options.upload_ttl));
  Swept total;
  int64_t after = 0;
  for (;;) {
    using Page = std::vector<RepositoryRow>;
    std::function<Result<Page>(db::Transaction&)> work = [after](db::Transaction& tx) {
      return repositories_after(tx, after, kPage);
    };
    CO_TRY_ASSIGN(const Page page, co_await core_.database.read<Page>(std::move(work)));
    if (page.empty()) co_return total;
    for (const RepositoryRow& repository : page) {
      CO_TRY_ASSIGN(const Swept swept, co_await sweep_one(repository));
      total.tags += swept.tags;
      total.manifests += swept.manifests;
      total.blobs += swept.blobs;
    }
    after = page.back().id;
  }
}

Task<void> Collector::run() {
  Duration next = core_.clock.steady() + core_.options.sweep_every;
  for (;;) {
    co_await core_.loop.sleep(kNotesEvery);
    const auto written = co_await core_.uses.write(core_.database, core_.clock.now());
    if (!written) log_warn("last uses are not written", {{"why", written.error().message}});
    if (core_.clock.steady() < next) continue;
    const auto swept = co_await sweep();
    fault_ = swept ? "" : swept.error().message;
    if (!swept) log_error("the registry's sweep failed", swept.error());
    if (swept && swept->any()) {
      log_info("registry swept",
               {{"tags", swept->tags}, {"manifests", swept->manifests}, {"blobs", swept->blobs}});
    }
    next = core_.clock.steady() + core_.options.sweep_every;
  }
}

Task<Result<int64_t>> Collector::evict(blob::EvictionRequest request) {
  std::function<Result<int64_t>(db::Transaction&)> work =
      [request, now = core_.clock.now()](db::Transaction& tx) -> Result<int64_t> {
    const auto used = [&]() -> Result<int64_t> {
      const auto use = blob::Use::registry;
      return (request.repo.empty() ? TRY(blob::org_usage_in(tx, request.org, use))
                                   : TRY(blob::repo_usage_in(tx, request.org, request.repo, use)))
          .bytes;
    };
    const std::string repository = request.repo.empty() ? "" : request.org + "/" + request.repo;
    const int64_t before = TRY(used());
    int64_t freed = 0;
    for (int i = 0; freed < request.bytes && i < kEvictedAtOnceMax; ++i) {
      if (!TRY(evict_oldest(tx, request.org, repository, now))) break;
      freed = before - TRY(used());
    }
    return freed;
  };
  auto freed = co_await core_.database.write<int64_t>(std::move(work));
  if (freed && *freed > 0) log_info("registry evicted", {{"org", request.org}, {"bytes", *freed}});
  co_return freed;
}

}  // namespace nimbus::registry
