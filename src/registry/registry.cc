#include "registry/registry.h"

#include "base/log.h"
#include "registry/collector.h"
#include "registry/content_routes.h"
#include "registry/core.h"
#include "registry/front.h"
#include "registry/repository_routes.h"

namespace nimbus::registry {

Counters::Counters(Metrics& metrics)
    : blobs_pulled(metrics.counter("nimbus_registry_pulls_total", "Reads that found their thing.",
                                   {{"kind", "blob"}})),
      manifests_pulled(metrics.counter("nimbus_registry_pulls_total",
                                       "Reads that found their thing.", {{"kind", "manifest"}})),
      blobs_missed(metrics.counter("nimbus_registry_misses_total", "Reads that found nothing.",
                                   {{"kind", "blob"}})),
      manifests_missed(metrics.counter("nimbus_registry_misses_total", "Reads that found nothing.",
                                       {{"kind", "manifest"}})),
      bytes_received(metrics.counter("nimbus_registry_received_bytes_total",
                                     "Bytes of blobs received from clients.")),
      bytes_sent(
          metrics.counter("nimbus_registry_sent_bytes_total", "Bytes of blobs sent to clients.")),
      blobs_pushed(metrics.counter("nimbus_registry_pushes_total", "Things stored for clients.",
                                   {{"kind", "blob"}})),
      manifests_pushed(metrics.counter("nimbus_registry_pushes_total", "Things stored for clients.",
                                       {{"kind", "manifest"}})),
      blobs_mounted(metrics.counter("nimbus_registry_mounts_total",
                                    "Blobs taken from another repository of the org.")),
      open_uploads(
          metrics.gauge("nimbus_registry_open_uploads", "Upload sessions this process knows.")) {}

struct Registry::State {
  State(const Parts& parts, Options options)
      : core{parts.loop,
             parts.database,
             parts.store,
             parts.quota,
             parts.authenticator,
             parts.clock,
             std::move(options),
             TokenMint(parts.job_token_key),
             Counters(parts.metrics),
             ReadCache(parts.clock),
             UseNotes()},
        uploads(core),
        manifests(core),
        mirror(core, manifests, parts.metrics),
        collector(core, uploads, parts.metrics),
        front(core, uploads, manifests, mirror),
        repositories(core),
        contents(core) {}

  Core core;
  UploadRequests uploads;
  ManifestRequests manifests;
  Mirror mirror;
  Collector collector;
  Front front;
  RepositoryRoutes repositories;
  ContentRoutes contents;
};

Registry::Registry(Parts parts, Options options)
    : state_(std::make_shared<State>(parts, std::move(options))) {
  parts.losses.on_loss(blob::Use::registry,
                       [&clock = parts.clock](db::Transaction& tx, const blob::Hold& hold,
                                              const blob::Digest& digest) {
                         return drop_lost(tx, hold, digest, clock.now());
                       });
  const auto evict = [state = state_.get()](blob::EvictionRequest request) {
    return state->collector.evict(std::move(request));
  };
  state_->core.quota.set_evict(blob::Use::registry, evict);
}

Registry::~Registry() = default;

void Registry::add_routes(net::Router& router) {
  state_->front.add_to(router);
  state_->repositories.add_to(router);
  state_->contents.add_to(router);
}

void Registry::start() { state_->core.loop.spawn(state_->collector.run(), "registry sweep"); }

Task<void> Registry::drain() {
  Core& core = state_->core;
  const auto written = co_await core.uses.write(core.database, core.clock.now());
  if (!written) log_warn("last uses are not written", {{"why", written.error().message}});
}

const std::string& Registry::fault() const { return state_->collector.fault(); }

}  // namespace nimbus::registry
