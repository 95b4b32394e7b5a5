#include "cache/artifact_routes.h"

#include "access/audit.h"
#include "api/json_text.h"
#include "base/text.h"
#include "net/page.h"

namespace nimbus::cache {
namespace {

constexpr int kPurgedAtOnce = 500;
constexpr Duration kDownloadUrlLife = std::chrono::minutes(10);

ArtifactFilter read_filter(const net::Request& request, const access::Caller& caller) {
  ArtifactFilter filter;
  filter.orgs = caller.orgs.narrow(request.find_query("org"));
  if (const auto repo = request.find_query("repo")) filter.repo = to_lower(*repo);
  if (const auto run = request.find_query("run")) filter.run = std::string(*run);
  if (const auto name = request.find_query("name")) filter.name = std::string(*name);
  return filter;
}

std::string artifact_json(const Artifact& artifact) {
  return api::JsonText()
      .integer("id", artifact.id)
      .text("org", artifact.place.org)
      .text("repo", artifact.place.repo)
      .text("run", artifact.place.run)
      .text("job", artifact.job)
      .text("name", artifact.name)
      .text("content_type", artifact.content_type)
      .integer("size_bytes", artifact.blob.size)
      .text("digest", blob::to_string(artifact.blob.digest))
      .time("created_at", artifact.created_at)
      .time("expires_at", artifact.expires_at)
      .finish();
}

}  // namespace

void ArtifactRoutes::add_to(net::Router& router) {
  router.get("/api/v1/artifacts", [this](net::Request& r) { return list(r); });
  router.get("/api/v1/artifacts/{id}/content", [this](net::Request& r) { return content(r); });
  router.del("/api/v1/artifacts", [this](net::Request& r) { return purge(r); });
  router.del("/api/v1/artifacts/{id}", [this](net::Request& r) { return remove(r); });
}

Task<net::Response> ArtifactRoutes::list(net::Request& request) {
  const auto caller =
      co_await core_.parts.authenticator.require_operator(request, access::Role::viewer);
  if (!caller) co_return access::refusal(caller.error());
  const auto page = net::read_page(request);
  if (!page) co_return net::problem(page.error());
  ArtifactFilter filter = read_filter(request, *caller);
  const auto before = parse_cursor(*page);
  if (!before) co_return net::problem(before.error());
  filter.before = *before;
  filter.limit = page->limit + 1;
  std::function<Result<std::vector<Artifact>>(db::Transaction&)> work =
      [filter](db::Transaction& tx) { return find_artifacts_in(tx, filter); };
  auto found = co_await core_.parts.database.read<std::vector<Artifact>>(std::move(work));
  if (!found) co_return net::problem(found.error());
  co_return net::page_of(std::move(*found), page->limit, artifact_json,
                         [](const Artifact& artifact) { return std::to_string(artifact.id); });
}

// To a signed URL, which a browser follows by itself.
Task<net::Response> ArtifactRoutes::content(net::Request& request) {
  const auto caller =
      co_await core_.parts.authenticator.require_operator(request, access::Role::viewer);
  if (!caller) co_return access::refusal(caller.error());
  const auto id = parse_number(request.parameter("id"), "the artifact's id is not a number");
  if (!id) co_return net::problem(id.error());
  std::function<Result<bool>(db::Transaction&)> work =
      [id = *id, orgs = caller->orgs](db::Transaction& tx) -> Result<bool> {
    const auto artifact = TRY(read_artifact_in(tx, id));
    if (!artifact) return fail(Code::not_found, "no such artifact");
    TRY(orgs.require(artifact->place.org, "artifact"));
    return true;
  };
  const auto allowed = co_await core_.parts.database.read<bool>(std::move(work));
  if (!allowed) co_return net::problem(allowed.error());
  net::Response response = net::Response::empty(302);
  response.headers.set("Location", core_.signer.sign("artifact", std::to_string(*id),
                                                     core_.now() + kDownloadUrlLife));
  response.headers.set("Cache-Control", "no-store");
  co_return response;
}

Task<Result<Removed>> ArtifactRoutes::remove_all(ArtifactFilter filter) {
  filter.limit = kPurgedAtOnce;
  std::function<Result<Removed>(db::Transaction&)> work =
      [filter, now = core_.now()](db::Transaction& tx) -> Result<Removed> {
    Removed removed;
    for (const Artifact& artifact : TRY(find_artifacts_in(tx, filter))) {
      TRY(remove_artifact_in(tx, artifact, now));
      removed.count += 1;
      removed.bytes += artifact.blob.size;
    }
    return removed;
  };
  Removed all;
  for (int64_t step = kPurgedAtOnce; step == kPurgedAtOnce;) {
    CO_TRY_ASSIGN(const Removed some, co_await core_.parts.database.write<Removed>(work));
    all.count += some.count;
    all.bytes += some.bytes;
    step = some.count;
  }
  co_return all;
}

Task<net::Response> ArtifactRoutes::purge(net::Request& request) {
  const auto caller =
      co_await core_.parts.authenticator.require_operator(request, access::Role::operator_);
  if (!caller) co_return access::refusal(caller.error());
  const auto org = read_purged_org(request, *caller);
  if (!org) co_return net::problem(org.error());
  ArtifactFilter filter = read_filter(request, *caller);
  const auto removed = co_await remove_all(std::move(filter));
  if (!removed) co_return net::problem(removed.error());
  access::audit_later(core_.parts.database, core_.now(),
                      {caller->id, "artifacts purged", "cache", *org,
                       std::to_string(removed->count) + " artifacts"});
  co_return removed_answer(*removed);
}

Task<net::Response> ArtifactRoutes::remove(net::Request& request) {
  const auto caller =
      co_await core_.parts.authenticator.require_operator(request, access::Role::operator_);
  if (!caller) co_return access::refusal(caller.error());
  const auto id = parse_number(request.parameter("id"), "the artifact's id is not a number");
  if (!id) co_return net::problem(id.error());
  std::function<Result<bool>(db::Transaction&)> work =
      [id = *id, orgs = caller->orgs, by = caller->id,
       now = core_.now()](db::Transaction& tx) -> Result<bool> {
    const auto artifact = TRY(read_artifact_in(tx, id));
    if (!artifact) return fail(Code::not_found, "no such artifact");
    TRY(orgs.require(artifact->place.org, "artifact"));
    TRY(remove_artifact_in(tx, *artifact, now));
    TRY(access::audit(tx, now,
                      {by, "artifact removed", std::to_string(id), artifact->place.org,
                       artifact->name + " of " + artifact->place.repo}));
    return true;
  };
  const auto removed = co_await core_.parts.database.write<bool>(std::move(work));
  if (!removed) co_return net::problem(removed.error());
  co_return net::Response::empty(204);
}

}  // namespace nimbus::cache
