#include "registry/repository_routes.h"

#include <boost/json.hpp>
#include <charconv>

#include "api/json_text.h"
#include "base/json.h"
#include "base/text.h"
#include "blob/catalog.h"
#include "registry/manifest_table.h"
#include "registry/names.h"
#include "registry/repository_row.h"
#include "registry/sweep.h"
#include "registry/tables.h"
#include "registry/visit.h"

namespace nimbus::registry {
namespace {

namespace json = boost::json;
using access::OrgScope;
using access::Role;

constexpr int64_t kPageDefault = 100;
constexpr int64_t kPageMax = 1000;

Result<int64_t> read_limit(const net::Request& request) {
  const auto text = request.find_query("limit");
  int64_t limit = kPageDefault;
  if (!text) return limit;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), limit);
  if (error != std::errc() || end != text->data() + text->size() || limit < 1 || limit > kPageMax) {
    return fail(Code::bad_request, "limit must be a number from 1 to 1000");
  }
  return limit;
}

std::string usage_json(const blob::OrgUsage& one, const blob::QuotaLimits& limits) {
  const auto limit = [](int64_t bytes) {
    return bytes == 0 ? std::optional<int64_t>() : std::optional(bytes);
  };
  return api::JsonText()
      .text("org", one.org)
      .integer("bytes", one.usage.bytes)
      .integer("blobs", one.usage.blobs)
      .integer("bytes_max", limit(limits.org_bytes_max))
      .integer("repository_bytes_max", limit(limits.repo_bytes_max))
      .finish();
}

net::Response list_answer(const std::vector<std::string>& items,
                          const std::optional<std::string>& next) {
  const std::string cursor = next ? json_quote(*next) : "null";
  return net::Response::json(
      200, "{\"items\":[" + join(items, ",") + "],\"next_cursor\":" + cursor + "}");
}

enum class Extent { all, tag, untagged };

Result<Swept> purge_in(db::Transaction& tx, const std::string& name, Extent extent,
                       const std::string& tag, Time now) {
  const auto id = TRY(find_repository(tx, name));
  if (!id) return fail(Code::not_found, "no such repository");
  const RepositoryRow repository{*id, name};
  Swept swept;
  switch (extent) {
    case Extent::all: return purge_repository(tx, repository, now);
    case Extent::tag:
      if (!TRY(remove_tag(tx, name, tag))) return fail(Code::not_found, "no such tag");
      swept.tags = 1;
      return swept;
    case Extent::untagged: break;
  }
  // Children of an index that goes are next.
  for (;;) {
    const int64_t removed = TRY(remove_untagged(tx, repository, now, now));
    swept.manifests += removed;
    if (removed == 0) break;
  }
  return swept;
}

}  // namespace

void RepositoryRoutes::add_to(net::Router& router) {
  router.get("/api/v1/repositories", [this](net::Request& request) { return list(request); });
  router.get("/api/v1/repository-usage", [this](net::Request& request) { return usage(request); });
  router.del("/api/v1/repositories/{name...}",
             [this](net::Request& request) { return purge(request); });
}

Task<net::Response> RepositoryRoutes::list(net::Request& request) {
  const auto caller = co_await core_.authenticator.require_operator(request, Role::viewer);
  if (!caller) co_return access::refusal(caller.error());
  const auto limit = read_limit(request);
  if (!limit) co_return net::problem(limit.error());
  const OrgScope orgs = caller->orgs.narrow(request.find_query("org"));
  const std::string cursor(request.find_query("cursor").value_or(""));
  Work<RepositoryListing> work = [orgs, cursor, rows = *limit + 1](db::Transaction& tx) {
    return list_repositories(tx, orgs, cursor, rows);
  };
  auto listing = co_await core_.database.read<RepositoryListing>(std::move(work));
  if (!listing) co_return net::problem(listing.error());
  std::optional<std::string> next;
  if (listing->names.size() > static_cast<size_t>(*limit)) {
    listing->items.pop_back();
    next = listing->names[static_cast<size_t>(*limit) - 1];
  }
  co_return list_answer(listing->items, next);
}

Task<net::Response> RepositoryRoutes::usage(net::Request& request) {
  const auto caller = co_await core_.authenticator.require_operator(request, Role::viewer);
  if (!caller) co_return access::refusal(caller.error());
  const OrgScope orgs = caller->orgs.narrow(request.find_query("org"));
  using Items = std::vector<std::string>;
  Work<Items> work = [orgs, &quota = core_.quota](db::Transaction& tx) -> Result<Items> {
    Items items;
    for (const blob::OrgUsage& one :
         TRY(blob::usage_of_orgs_in(tx, orgs.single(), blob::Use::registry))) {
      if (!orgs.covers(one.org)) continue;
      items.push_back(usage_json(one, TRY(quota.limits_in(tx, one.org, one.use))));
    }
    return items;
  };
  const auto items = co_await core_.database.read<Items>(std::move(work));
  if (!items) co_return net::problem(items.error());
  co_return list_answer(*items, std::nullopt);
}

Task<net::Response> RepositoryRoutes::purge(net::Request& request) {
  const auto caller = co_await core_.authenticator.require_operator(request, Role::operator_);
  if (!caller) co_return access::refusal(caller.error());
  const std::string& name = request.parameter("name");
  const bool mirrored = name.starts_with("mirror:") && caller->orgs.is_all();
  if (!mirrored && !may(*caller, Action::delete_, name, core_.options.runner_org)) {
    co_return net::problem(404, "no such repository");
  }
  const auto tag = request.find_query("tag");
  const bool untagged = request.find_query("untagged") == "true";
  if (tag && untagged) co_return net::problem(400, "tag and untagged exclude each other");
  const Extent extent = tag ? Extent::tag : untagged ? Extent::untagged : Extent::all;
  Work<Swept> work = [name, extent, by = caller->id, tag = std::string(tag.value_or("")),
                      now = core_.clock.now()](db::Transaction& tx) -> Result<Swept> {
    const Swept swept = TRY(purge_in(tx, name, extent, tag, now));
    TRY(access::audit(tx, now,
                      {by, "repository purged", name + (tag.empty() ? "" : ":" + tag),
                       std::string(org_of(name)), ""}));
    return swept;
  };
  const auto swept = co_await core_.database.write<Swept>(std::move(work));
  core_.cache.forget(name);
  if (!swept) co_return net::problem(swept.error());
  const json::object body{{"repository", name},
                          {"tags", swept->tags},
                          {"manifests", swept->manifests},
                          {"blobs", swept->blobs}};
  co_return net::Response::json(200, json::serialize(body));
}

}  // namespace nimbus::registry
