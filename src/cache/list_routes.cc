#include "cache/list_routes.h"

#include "access/audit.h"
#include "api/json_text.h"
#include "base/text.h"
#include "blob/catalog.h"
#include "cache/query.h"
#include "net/page.h"

namespace nimbus::cache {
namespace {

constexpr int kPurgedAtOnce = 500;

Result<EntryFilter> read_filter(const net::Request& request, const access::Caller& caller) {
  EntryFilter filter;
  filter.orgs = caller.orgs.narrow(request.find_query("org"));
  if (const auto repo = request.find_query("repo")) filter.repo = std::string(*repo);
  if (const auto ref = request.find_query("ref")) filter.scope = std::string(*ref);
  if (const auto key = request.find_query("key")) filter.key_prefix = std::string(*key);
  if (const auto name = request.find_query("kind")) {
    filter.kind = find_kind(*name);
    if (!filter.kind) return fail(Code::bad_request, "kind is neither actions nor plain");
  }
  return filter;
}

std::string entry_json(const Entry& entry) {
  const Writer& writer = entry.writer;
  std::string by = api::JsonText()
                       .text("by", writer.by)
                       .text("repo", entry.place.repo)
                       .text("ref", writer.ref)
                       .text("event", writer.event)
                       .text("trust", writer.trust)
                       .finish();
  return api::JsonText()
      .integer("id", entry.id)
      .text("org", entry.place.org)
      .text("repo", entry.place.repo)
      .text("kind", to_string(entry.place.kind))
      .text("ref", entry.place.scope)
      .text("key", entry.key)
      .text("version", entry.place.version)
      .integer("size_bytes", entry.blob.size)
      .text("digest", blob::to_string(entry.blob.digest))
      .time("created_at", entry.created_at)
      .time("last_used_at", entry.used_at)
      .raw("writer", by)
      .finish();
}

struct RepoRow {
  std::string org;
  std::string repo;  // empty: the whole org's
  blob::Usage usage;
  int64_t entries = 0;
};

std::string usage_json(const RepoRow& row) {
  return api::JsonText()
      .text("org", row.org)
      .text("repo", row.repo)
      .integer("size_bytes", row.usage.bytes)
      .integer("blobs", row.usage.blobs)
      .integer("entries", row.entries)
      .finish();
}

Result<std::vector<RepoRow>> read_usage(db::Transaction& tx, const access::OrgScope& orgs) {
  std::vector<RepoRow> rows;
  for (const blob::OrgUsage& org : TRY(blob::all_org_usage_in(tx))) {
    if (org.use != blob::Use::cache || !orgs.covers(org.org)) continue;
    for (const blob::RepoUsage& repo : TRY(blob::repos_usage_in(tx, org.org, org.use))) {
      RepoRow row{org.org, repo.repo, repo.usage, 0};
      const auto entries = TRY(tx.find(
          "SELECT count(*) FROM cache_entries WHERE org = $1 AND repo = $2", row.org, row.repo));
      row.entries = entries->integer(0);
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

}  // namespace

void ListRoutes::add_to(net::Router& router) {
  router.get("/api/v1/caches", [this](net::Request& r) { return list(r, &list_entries_in); });
  router.get("/api/v1/caches/audit",
             [this](net::Request& r) { return list(r, &audit_entries_in); });
  router.get("/api/v1/caches/usage", [this](net::Request& r) { return usage(r); });
  router.del("/api/v1/caches", [this](net::Request& r) { return purge(r); });
  router.del("/api/v1/caches/{id}", [this](net::Request& r) { return remove(r); });
}

Task<net::Response> ListRoutes::list(net::Request& request, Find find) {
  const auto caller =
      co_await core_.parts.authenticator.require_operator(request, access::Role::viewer);
  if (!caller) co_return access::refusal(caller.error());
  const auto page = net::read_page(request);
  if (!page) co_return net::problem(page.error());
  auto filter = read_filter(request, *caller);
  if (!filter) co_return net::problem(filter.error());
  const auto before = parse_cursor(*page);
  if (!before) co_return net::problem(before.error());
  filter->before = *before;
  filter->limit = page->limit + 1;
  std::function<Result<std::vector<Entry>>(db::Transaction&)> work =
      [filter = *filter, find](db::Transaction& tx) { return find(tx, filter); };
  auto entries = co_await core_.parts.database.read<std::vector<Entry>>(std::move(work));
  if (!entries) co_return net::problem(entries.error());
  co_return net::page_of(std::move(*entries), page->limit, entry_json,
                         [](const Entry& entry) { return std::to_string(entry.id); });
}

Task<net::Response> ListRoutes::usage(net::Request& request) {
  const auto caller =
      co_await core_.parts.authenticator.require_operator(request, access::Role::viewer);
  if (!caller) co_return access::refusal(caller.error());
  const access::OrgScope orgs = caller->orgs.narrow(request.find_query("org"));
  std::function<Result<std::vector<RepoRow>>(db::Transaction&)> work = [orgs](db::Transaction& tx) {
    return read_usage(tx, orgs);
  };
  const auto rows = co_await core_.parts.database.read<std::vector<RepoRow>>(std::move(work));
  if (!rows) co_return net::problem(rows.error());
  std::vector<std::string> items;
  for (const RepoRow& row : *rows) items.push_back(usage_json(row));
  co_return net::page_answer(items, std::nullopt);
}

Task<net::Response> ListRoutes::purge(net::Request& request) {
  const auto caller =
      co_await core_.parts.authenticator.require_operator(request, access::Role::operator_);
  if (!caller) co_return access::refusal(caller.error());
  const auto org = read_purged_org(request, *caller);
  if (!org) co_return net::problem(org.error());
  auto filter = read_filter(request, *caller);
  if (!filter) co_return net::problem(filter.error());
  filter->limit = kPurgedAtOnce;
  std::function<Result<Removed>(db::Transaction&)> work =
      [filter = *filter, now = core_.now()](db::Transaction& tx) -> Result<Removed> {
    Removed purged;
    for (const Entry& entry : TRY(list_entries_in(tx, filter))) {
      TRY(remove_entry_in(tx, entry, now));
      purged.count += 1;
      purged.bytes += entry.blob.size;
    }
    return purged;
  };
  Removed all;
  for (;;) {
    const auto some = co_await core_.parts.database.write<Removed>(work);
    if (!some) co_return net::problem(some.error());
    all.count += some->count;
    all.bytes += some->bytes;
    if (some->count < kPurgedAtOnce) break;
  }
  access::audit_later(
      core_.parts.database, core_.now(),
      {caller->id, "cache purged", "cache", *org, std::to_string(all.count) + " entries"});
  co_return removed_answer(all);
}

Task<net::Response> ListRoutes::remove(net::Request& request) {
  const auto caller =
      co_await core_.parts.authenticator.require_operator(request, access::Role::operator_);
  if (!caller) co_return access::refusal(caller.error());
  const auto id = parse_number(request.parameter("id"), "the entry's id is not a number");
  if (!id) co_return net::problem(id.error());
  std::function<Result<bool>(db::Transaction&)> work =
      [id = *id, orgs = caller->orgs, by = caller->id,
       now = core_.now()](db::Transaction& tx) -> Result<bool> {
    const auto entry = TRY(read_entry_in(tx, id));
    if (!entry) return fail(Code::not_found, "no such cache entry");
    TRY(orgs.require(entry->place.org, "cache entry"));
    TRY(remove_entry_in(tx, *entry, now));
    TRY(access::audit(tx, now,
                      {by, "cache entry removed", std::to_string(id), entry->place.org,
                       entry->key + " of " + entry->place.repo}));
    return true;
  };
  const auto removed = co_await core_.parts.database.write<bool>(std::move(work));
  if (!removed) co_return net::problem(removed.error());
  co_return net::Response::empty(204);
}

}  // namespace nimbus::cache
