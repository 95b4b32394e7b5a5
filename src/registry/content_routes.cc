#include "registry/content_routes.h"

#include "api/json_text.h"
#include "registry/repository_row.h"
#include "registry/tables.h"
#include "registry/visit.h"

namespace nimbus::registry {
namespace {

using access::Role;

Error no_such_repository() { return {Code::not_found, "no such repository"}; }

api::JsonText content_json(const Content& content) {
  api::JsonText json;
  json.text("digest", content.digest)
      .text("media_type", content.media_type)
      .text("artifact_type", content.artifact_type)
      .raw("platforms", api::json_texts(content.platforms))
      .integer("bytes", content.bytes)
      .time("pushed_at", content.pushed_at)
      .time("pulled_at", content.pulled_at);
  return json;
}

std::string tag_json(const TagRow& row) {
  return content_json(row.content).text("tag", row.tag).finish();
}

std::string manifest_json(const ManifestRow& row) {
  return content_json(row.content)
      .raw("tags", api::json_texts(row.tags))
      .text("subject", row.subject.empty() ? std::nullopt : std::optional(row.subject))
      .finish();
}

PushPosition position_of(const TagRow& row) { return {to_us(row.content.pushed_at), row.tag}; }
PushPosition position_of(const ManifestRow& row) {
  return {to_us(row.content.pushed_at), row.content.digest};
}

template <typename Row>
using ListRows = Result<std::vector<Row>> (*)(db::Transaction&, const ContentQuery&);

// A page of what the query's repository holds.
template <typename Row, typename Show>
Task<net::Response> list(Core& core, net::Request& request, ListRows<Row> rows_of, Show show) {
  const auto page = net::read_page(request);
  if (!page) co_return net::problem(page.error());
  ContentQuery query;
  query.limit = page->limit + 1;
  if (!page->cursor.empty()) {
    auto before = parse_push_position(page->cursor);
    if (!before) co_return net::problem(before.error());
    query.before = std::move(*before);
  }
  const std::string name(request.find_query("repository").value_or(""));
  Work<std::vector<Row>> work = [name, query,
                                 rows_of](db::Transaction& tx) -> Result<std::vector<Row>> {
    const auto id = TRY(find_repository(tx, name));
    if (!id) return tl::unexpected(no_such_repository());
    ContentQuery of_it = query;
    of_it.repository = *id;
    return rows_of(tx, of_it);
  };
  auto rows = co_await core.database.read<std::vector<Row>>(std::move(work));
  if (!rows) co_return net::problem(rows.error());
  co_return net::page_of(std::move(*rows), page->limit, show,
                         [](const Row& row) { return to_string(position_of(row)); });
}

}  // namespace

void ContentRoutes::add_to(net::Router& router) {
  router.get("/api/v1/repositories/{name...}",
             [this](net::Request& request) { return show(request); });
  router.get("/api/v1/repository-tags", [this](net::Request& request) { return tags(request); });
  router.get("/api/v1/repository-manifests",
             [this](net::Request& request) { return manifests(request); });
}

Task<Result<void>> ContentRoutes::check(net::Request& request, std::string_view repository) {
  CO_TRY_ASSIGN(const access::Caller caller,
                co_await core_.authenticator.require_operator(request, Role::viewer));
  // Mirrored repositories belong to no org.
  const bool mirrored = repository.starts_with("mirror:") && caller.orgs.is_all();
  if (mirrored || may(caller, Action::pull, repository, core_.options.runner_org)) {
    co_return Result<void>();
  }
  co_return tl::unexpected(no_such_repository());
}

Task<net::Response> ContentRoutes::show(net::Request& request) {
  const std::string name = request.parameter("name");
  const auto checked = co_await check(request, name);
  if (!checked) co_return access::refusal(checked.error());
  Work<std::string> work = [name](db::Transaction& tx) -> Result<std::string> {
    auto found = TRY(find_repository_json(tx, name));
    if (!found) return tl::unexpected(no_such_repository());
    return std::move(*found);
  };
  const auto json = co_await core_.database.read<std::string>(std::move(work));
  if (!json) co_return net::problem(json.error());
  co_return net::Response::json(200, *json);
}

Task<net::Response> ContentRoutes::tags(net::Request& request) {
  const auto checked = co_await check(request, request.find_query("repository").value_or(""));
  if (!checked) co_return access::refusal(checked.error());
  co_return co_await list<TagRow>(core_, request, &list_tag_rows, &tag_json);
}

Task<net::Response> ContentRoutes::manifests(net::Request& request) {
  const auto checked = co_await check(request, request.find_query("repository").value_or(""));
  if (!checked) co_return access::refusal(checked.error());
  co_return co_await list<ManifestRow>(core_, request, &list_manifest_rows, &manifest_json);
}

}  // namespace nimbus::registry
