#include "cache/list_routes.h"

#include "access/audit.h"
#include "api/json_text.h"
#include "base/text.h"
#include "blob/catalog.h"
#include "cache/entry_page.h"
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
  blob::RepoOfOrgUsage usage;
  int64_t entries = 0;
};

std::string usage_json(const RepoRow& row) {
  return api::JsonText()
      .text("org", row.usage.org)
      .text("repo", row.usage.repo)
      .integer("size_bytes", row.usage.usage.bytes)
      .integer("blobs", row.usage.usage.blobs)
      .integer("entries", row.entries)
      .finish();
}

Result<std::vector<RepoRow>> read_usage(db::Transaction& tx, const blob::RepoUsageQuery& query) {
  std::vector<RepoRow> rows;
  for (blob::RepoOfOrgUsage& repo : TRY(blob::repo_usage_page_in(tx, query))) {
    const auto entries = TRY(tx.find(
        "SELECT count(*) FROM cache_entries WHERE org = $1 AND repo = $2", repo.org, repo.repo));
    rows.push_back({std::move(repo), entries->integer(0)});
  }
  return rows;
}

// "org/repo": neither has a slash in it.
Result<void> read_usage_cursor(const net::Page& page, blob::RepoUsageQuery& query) {
  if (page.cursor.empty()) return {};
  const size_t slash = page.cursor.find('/');
  if (slash == std::string::npos) {
    return fail(Code::bad_request, "cursor is not one that a list gave");
  }
  query.after_org = page.cursor.substr(0, slash);
  query.after_repo = page.cursor.substr(slash + 1);
  return {};
}

struct OrgRow {
  std::string org;
  blob::Usage usage;
  blob::QuotaLimits limits;
};

std::string org_usage_json(const OrgRow& row) {
  const auto limit = [](int64_t bytes) {
    return bytes == 0 ? std::optional<int64_t>() : std::optional(bytes);
  };
  return api::JsonText()
      .text("org", row.org)
      .integer("size_bytes", row.usage.bytes)
      .integer("blobs", row.usage.blobs)
      .integer("size_bytes_max", limit(row.limits.org_bytes_max))
      .integer("repo_size_bytes_max", limit(row.limits.repo_bytes_max))
      .finish();
}

}  // namespace

void ListRoutes::add_to(net::Router& router) {
  router.get("/api/v1/caches", [this](net::Request& r) { return list(r); });
  router.get("/api/v1/caches/audit", [this](net::Request& r) { return audit(r); });
  router.get("/api/v1/caches/usage", [this](net::Request& r) { return usage(r); });
  router.get("/api/v1/caches/org-usage", [this](net::Request& r) { return org_usage(r); });
  router.del("/api/v1/caches", [this](net::Request& r) { return purge(r); });
  router.del("/api/v1/caches/{id}", [this](net::Request& r) { return remove(r); });
}

Task<net::Response> ListRoutes::list(net::Request& request) {
  const auto caller =
      co_await core_.parts.authenticator.require_operator(request, access::Role::viewer);
  if (!caller) co_return access::refusal(caller.error());
  const auto page = net::read_page(request);
  if (!page) co_return net::problem(page.error());
  auto filter = read_filter(request, *caller);
  if (!filter) co_return net::problem(filter.error());
  filter->limit = page->limit;
  const auto sort = find_entry_sort(request.find_query("sort").value_or("newest"));
  if (!sort) co_return net::problem(400, "sort is none of the orders that the description names");
  std::optional<EntryPosition> after;
  if (!page->cursor.empty()) {
    const auto position = parse_position(page->cursor);
    if (!position) co_return net::problem(position.error());
    after = *position;
  }
  std::function<Result<EntryPage>(db::Transaction&)> work = [filter = *filter, sort = *sort,
                                                             after](db::Transaction& tx) {
    return page_entries_in(tx, filter, sort, after);
  };
  const auto found = co_await core_.parts.database.read<EntryPage>(std::move(work));
  if (!found) co_return net::problem(found.error());
  std::vector<std::string> items;
  items.reserve(found->entries.size());
  for (const Entry& entry : found->entries) items.push_back(entry_json(entry));
  co_return net::page_answer(items,
                             found->next ? std::optional(to_string(*found->next)) : std::nullopt);
}

Task<net::Response> ListRoutes::audit(net::Request& request) {
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
      [filter = *filter](db::Transaction& tx) { return audit_entries_in(tx, filter); };
  auto entries = co_await core_.parts.database.read<std::vector<Entry>>(std::move(work));
  if (!entries) co_return net::problem(entries.error());
  co_return net::page_of(std::move(*entries), page->limit, entry_json,
                         [](const Entry& entry) { return std::to_string(entry.id); });
}

Task<net::Response> ListRoutes::usage(net::Request& request) {
  const auto caller =
      co_await core_.parts.authenticator.require_operator(request, access::Role::viewer);
  if (!caller) co_return access::refusal(caller.error());
  const auto page = net::read_page(request);
  if (!page) co_return net::problem(page.error());
  const access::OrgScope orgs = caller->orgs.narrow(request.find_query("org"));
  if (orgs.is_nothing()) co_return net::page_answer({}, std::nullopt);
  blob::RepoUsageQuery query;
  query.org = orgs.single();
  query.limit = page->limit + 1;
  const auto read = read_usage_cursor(*page, query);
  if (!read) co_return net::problem(read.error());
  std::function<Result<std::vector<RepoRow>>(db::Transaction&)> work =
      [query](db::Transaction& tx) { return read_usage(tx, query); };
  auto rows = co_await core_.parts.database.read<std::vector<RepoRow>>(std::move(work));
  if (!rows) co_return net::problem(rows.error());
  co_return net::page_of(std::move(*rows), page->limit, usage_json,
                         [](const RepoRow& row) { return row.usage.org + "/" + row.usage.repo; });
}

Task<net::Response> ListRoutes::org_usage(net::Request& request) {
  const auto caller =
      co_await core_.parts.authenticator.require_operator(request, access::Role::viewer);
  if (!caller) co_return access::refusal(caller.error());
  const access::OrgScope orgs = caller->orgs.narrow(request.find_query("org"));
  std::function<Result<std::vector<OrgRow>>(db::Transaction&)> work =
      [orgs, &quota = core_.parts.quota](db::Transaction& tx) -> Result<std::vector<OrgRow>> {
    std::vector<OrgRow> rows;
    for (blob::OrgUsage& one : TRY(blob::usage_of_orgs_in(tx, orgs.single(), blob::Use::cache))) {
      if (!orgs.covers(one.org)) continue;
      const blob::QuotaLimits limits = TRY(quota.limits_in(tx, one.org, one.use));
      rows.push_back({std::move(one.org), one.usage, limits});
    }
    return rows;
  };
  const auto rows = co_await core_.parts.database.read<std::vector<OrgRow>>(std::move(work));
  if (!rows) co_return net::problem(rows.error());
  std::vector<std::string> items;
  for (const OrgRow& row : *rows) items.push_back(org_usage_json(row));
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
