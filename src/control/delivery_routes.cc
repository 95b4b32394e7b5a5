#include "control/delivery_routes.h"

#include <charconv>

#include "api/json_text.h"
#include "net/page.h"

namespace nimbus::control {
namespace {

struct DeliveryQuery {
  access::OrgScope orgs;
  std::optional<std::string> event;
  std::optional<std::string> result;
  int64_t before = INT64_MAX;
  int limit = net::kPageDefault;
};

Result<DeliveryQuery> read_query(const net::Request& request, const access::OrgScope& orgs) {
  DeliveryQuery query;
  const net::Page page = TRY(net::read_page(request));
  query.limit = page.limit;
  query.orgs = orgs;
  if (!page.cursor.empty()) {
    const char* end = page.cursor.data() + page.cursor.size();
    const auto [rest, error] = std::from_chars(page.cursor.data(), end, query.before);
    if (error != std::errc() || rest != end) {
      return fail(Code::bad_request, "cursor is not one that a list gave");
    }
  }
  if (const auto event = request.find_query("event")) query.event = std::string(*event);
  if (const auto result = request.find_query("result")) query.result = std::string(*result);
  return query;
}

Result<db::Rows> find_rows(db::Transaction& tx, const DeliveryQuery& query) {
  const std::string event = query.event.value_or("");  // parameters borrow their texts
  const std::string result = query.result.value_or("");
  std::vector<db::Parameter> parameters = {query.before, event, result};
  const auto scope = query.orgs.filter("org", static_cast<int>(parameters.size()) + 1);
  if (scope.parameter) parameters.emplace_back(*scope.parameter);
  parameters.emplace_back(query.limit + 1);
  const std::string sql =
      "SELECT id, guid, event, action, org, repo, result, job_id, received_us FROM deliveries "
      "WHERE id < $1 AND ($2 = '' OR event = $2) AND ($3 = '' OR result = $3) AND " +
      scope.sql + " ORDER BY id DESC LIMIT $" + std::to_string(parameters.size());
  return tx.query_with(sql, parameters);
}

std::string delivery_json(const db::Row& row) {
  return api::JsonText()
      .integer("id", row.integer(0))
      .text("guid", row.text(1))
      .text("event", row.text(2))
      .text("action", row.find_text(3))
      .text("org", row.find_text(4))
      .text("repo", row.find_text(5))
      .text("result", row.text(6))
      .integer("job", row.find_integer(7))
      .time("received_at", row.time(8))
      .finish();
}

Task<net::Response> list(db::Database& database, access::Authenticator& authenticator,
                         net::Request& request) {
  const auto caller = co_await authenticator.require_operator(request, access::Role::admin);
  if (!caller) co_return access::refusal(caller.error());
  const auto query = read_query(request, caller->orgs);
  if (!query) co_return net::problem(query.error());
  std::function<Result<db::Rows>(db::Transaction&)> work = [query = *query](db::Transaction& tx) {
    return find_rows(tx, query);
  };
  const auto rows = co_await database.read<db::Rows>(std::move(work));
  if (!rows) co_return net::problem(rows.error());
  const size_t count = std::min(rows->size(), static_cast<size_t>(query->limit));
  std::vector<std::string> items;
  items.reserve(count);
  for (size_t i = 0; i < count; ++i) items.push_back(delivery_json((*rows)[i]));
  std::optional<std::string> cursor;
  if (rows->size() > count) cursor = std::to_string((*rows)[count - 1].integer(0));
  co_return net::page_answer(items, cursor);
}

}  // namespace

void add_delivery_routes(net::Router& router, db::Database& database,
                         access::Authenticator& authenticator) {
  router.get("/api/v1/deliveries", [&database, &authenticator](net::Request& request) {
    return list(database, authenticator, request);
  });
}

}  // namespace nimbus::control
