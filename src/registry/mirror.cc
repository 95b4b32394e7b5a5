#include "registry/mirror.h"

#include "base/log.h"
#include "registry/api_error.h"
#include "registry/manifest_table.h"
#include "registry/tables.h"

namespace nimbus::registry {
namespace {

constexpr Duration kFlightPatience = std::chrono::minutes(30);

// The upstream's own grammar is a little wider than ours: one component is enough.
bool is_upstream_repository(const std::string& name) {
  return check_repository("x/" + name).has_value();
}

bool may_read_mirrors(const Visitor& visitor) {
  const access::Caller& caller = visitor.caller;
  if (caller.is_operator() || caller.kind == access::CallerKind::agent) return true;
  return caller.kind == access::CallerKind::job && !visitor.granted &&
         caller.job->has_scope(access::kScopeRegistryPull);
}

std::string accepted_types() {
  std::string out;
  for (const std::string_view type : {kOciManifest, kOciIndex, kDockerManifest, kDockerList}) {
    out += (out.empty() ? "" : ", ") + std::string(type);
  }
  return out;
}

}  // namespace

struct Mirror::Flight {
  explicit Flight(net::Loop& loop) : ended(loop) {}
  net::Notifier ended;
  std::optional<Result<bool>> outcome;
};

Mirror::Mirror(Core& core, ManifestRequests& manifests, Metrics& metrics)
    : core_(core),
      manifests_(manifests),
      blobs_(core),
      arrivals_(core),
      misses_(core.clock),
      outcomes_{
          metrics.counter("nimbus_registry_mirror_requests_total",
                          "Requests for mirrored images by outcome.", {{"result", "hit"}}),
          metrics.counter("nimbus_registry_mirror_requests_total",
                          "Requests for mirrored images by outcome.", {{"result", "fetched"}}),
          metrics.counter("nimbus_registry_mirror_requests_total",
                          "Requests for mirrored images by outcome.", {{"result", "stale"}}),
          metrics.counter("nimbus_registry_mirror_requests_total",
                          "Requests for mirrored images by outcome.", {{"result", "failed"}})} {
  for (const MirrorOptions& options : core.options.mirrors) {
    upstreams_[options.ns] = std::make_unique<Upstream>(core.loop, core.clock, options);
  }
}

Upstream* Mirror::find(std::string_view ns) {
  const auto found = upstreams_.find(ns);
  return found == upstreams_.end() ? nullptr : found->second.get();
}

Task<net::Response> Mirror::serve(Visit& visit, std::string_view ns) {
  Upstream* upstream = find(ns);
  const bool reads = visit.request.method == "GET" || visit.request.method == "HEAD";
  const Resource resource = visit.place.resource;
  const bool mirrored = resource == Resource::manifest || resource == Resource::blob;
  if (upstream == nullptr || !reads || !mirrored || !may_read_mirrors(visit.visitor) ||
      !is_upstream_repository(visit.place.repository)) {
    co_return api_error(404, "NAME_UNKNOWN", "this is not mirrored here");
  }
  Item item{*upstream, visit.place.repository, "", visit.place.reference};
  item.own = "mirror:" + upstream->options().name + "/" + item.repository;
  visit.place.repository = item.own;
  net::Response response;
  if (resource == Resource::manifest) {
    response = co_await manifest(visit, item);
  } else {
    response = co_await blob(visit, item);
  }
  response.headers.add("OCI-Namespace", ns);
  co_return response;
}

net::Response Mirror::fail_with(const Error& error) {
  outcomes_.failed.add();
  return api_error(error, "MANIFEST_UNKNOWN");
}

Task<Result<bool>> Mirror::once(const Item& item,
                                const std::function<Task<Result<bool>>()>& fetch) {
  const std::string key = item.own + "\n" + item.reference;
  if (misses_.is_missing(key)) co_return false;
  if (const auto under_way = flights_.find(key); under_way != flights_.end()) {
    const std::shared_ptr<Flight> flight = under_way->second;
    (void)co_await flight->ended.wait(kFlightPatience);
    if (!flight->outcome) co_return fail(Code::unavailable, "the upstream takes too long");
    co_return *flight->outcome;
  }
  const auto flight = std::make_shared<Flight>(core_.loop);
  flights_[key] = flight;
  auto outcome = co_await fetch();
  flight->outcome = outcome;
  flights_.erase(key);
  flight->ended.notify_all();
  misses_.forget(key);
  if (outcome && !*outcome) misses_.note(key);
  co_return outcome;
}

Task<net::Response> Mirror::manifest(Visit& visit, const Item& item) {
  const bool by_tag = item.reference.find(':') == std::string::npos;
  if (by_tag ? !is_tag(item.reference) : !blob::parse_digest(item.reference)) {
    co_return manifest_unknown();
  }
  Work<std::optional<StoredManifest>> work = [own = item.own,
                                              reference = item.reference](db::Transaction& tx) {
    return find_manifest(tx, own, reference);
  };
  const auto known = co_await core_.database.read<std::optional<StoredManifest>>(std::move(work));
  if (!known) co_return fail_with(known.error());
  const Duration ttl = item.upstream.options().tag_ttl;
  const bool fresh =
      *known &&
      (!by_tag || ((*known)->checked_at && core_.clock.now() - *(*known)->checked_at < ttl));
  bool stale = false;
  if (fresh) {
    outcomes_.hit.add();
  } else {
    const std::string known_digest = *known ? (*known)->digest : "";
    std::function<Task<Result<bool>>()> fetch = [this, &item, by_tag,
                                                 known_digest]() -> Task<Result<bool>> {
      if (by_tag) co_return co_await refresh_tag(item, known_digest);
      const std::string untagged;
      co_return co_await fetch_manifest(item, untagged);
    };
    const auto there = co_await once(item, fetch);
    if (there && !*there) co_return manifest_unknown();
    stale = !there;
    if (stale && !*known) co_return fail_with(there.error());
    (stale ? outcomes_.stale : outcomes_.fetched).add();
    if (stale) log_warn("a mirrored tag is served stale", {{"why", there.error().message}});
  }
  net::Response response = co_await manifests_.get(visit);
  if (stale) response.headers.add("Warning", "110 - \"the upstream is away\"");
  co_return response;
}

// Whether the upstream has the tag; afterwards we have what it points to.
Task<Result<bool>> Mirror::refresh_tag(const Item& item, const std::string& known_digest) {
  Upstream::Question question{"HEAD", item.repository, "/manifests/" + item.reference,
                              accepted_types()};
  CO_TRY_ASSIGN(const auto answer, co_await item.upstream.ask(std::move(question)));
  if (answer.status == 404) co_return false;
  const std::string digest(answer.headers.find("Docker-Content-Digest").value_or(""));
  if (answer.status != 200 || digest.empty() || digest != known_digest) {
    co_return co_await fetch_manifest(item, item.reference);
  }
  Work<bool> work = [own = item.own, tag = item.reference,
                     now = core_.clock.now()](db::Transaction& tx) -> Result<bool> {
    TRY(note_tag_checked(tx, own, tag, now));
    return true;
  };
  co_return co_await core_.database.write<bool>(std::move(work));
}

Task<Result<bool>> Mirror::fetch_manifest(const Item& item, const std::string& tag) {
  Upstream::Question question{"GET", item.repository, "/manifests/" + item.reference,
                              accepted_types()};
  CO_TRY_ASSIGN(auto answer, co_await item.upstream.ask(std::move(question)));
  if (answer.status == 404) co_return false;
  if (answer.status != 200) {
    co_return fail(Code::unavailable, "the upstream answered " + std::to_string(answer.status));
  }
  blob::Digest digest = blob::digest_of(answer.body);
  const std::string said(answer.headers.find("Docker-Content-Digest").value_or(""));
  const std::string& wanted = tag.empty() ? item.reference : said;
  if (!wanted.empty()) {
    CO_TRY_ASSIGN(const blob::Digest named, blob::parse_digest(wanted));
    digest = blob::digest_of(answer.body, named.algorithm);
    if (digest != named) {
      co_return fail(Code::unavailable, "the upstream's manifest is not " + wanted);
    }
  }
  const std::string type(answer.headers.find("Content-Type").value_or(""));
  auto document = parse_manifest(answer.body, type);
  if (!document) co_return fail(Code::unavailable, document.error().message);
  std::vector<std::string> tags;
  if (!tag.empty()) tags.push_back(tag);
  std::string own = item.own;
  CO_TRY(co_await manifests_.store(std::move(own), std::move(answer.body), std::move(digest),
                                   std::move(*document), std::move(tags), false));
  co_return true;
}

Task<net::Response> Mirror::blob(Visit& visit, const Item& item) {
  const auto digest = blob::parse_digest(item.reference);
  if (!digest) co_return api_error(400, "DIGEST_INVALID", "this is not a digest");
  Work<bool> work = [own = item.own, digest = item.reference](db::Transaction& tx) -> Result<bool> {
    return TRY(find_blob(tx, own, digest)).has_value();
  };
  const auto known = co_await core_.database.read<bool>(std::move(work));
  if (!known) co_return fail_with(known.error());
  if (*known) {
    outcomes_.hit.add();
  } else {
    BlobArrivals::Wanted wanted{item.upstream, item.repository, item.own, *digest};
    const auto arriving = co_await arrivals_.get(std::move(wanted));
    if (!arriving && arriving.error().code == Code::not_found) co_return blob_unknown();
    if (!arriving) co_return fail_with(arriving.error());
    outcomes_.fetched.add();
    if (*arriving != nullptr) co_return blobs_.answer(visit, **arriving);
  }
  co_return co_await blobs_.get(visit);
}

}  // namespace nimbus::registry
