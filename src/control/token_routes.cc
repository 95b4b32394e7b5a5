#include "control/token_routes.h"

#include <boost/json.hpp>

#include "access/audit.h"
#include "base/json.h"
#include "net/page.h"

namespace nimbus::control {
namespace {

namespace json = boost::json;
using access::Caller;
using access::OrgScope;
using access::Role;
using access::Token;
using access::TokenKind;
using access::TokenRequest;

constexpr std::string_view kIngestRole = "ingest";

json::value time_or_null(const std::optional<Time>& time) {
  return time ? json::value(to_rfc3339(*time)) : json::value(nullptr);
}

json::object to_json(const Token& token) {
  json::object object;
  object["id"] = token.id;
  object["name"] = token.name;
  object["role"] = token.kind == TokenKind::ingest ? kIngestRole : to_string(token.role);
  object["org"] = token.orgs.text();
  if (!token.repo.empty()) object["repo"] = token.repo;
  object["created_at"] = to_rfc3339(token.created_at);
  object["expires_at"] = time_or_null(token.expires_at);
  object["last_used_at"] = time_or_null(token.last_used_at);
  return object;
}

Result<void> check_token_name(std::string_view name) {
  if (name.empty() || name.size() > kTokenNameBytesMax) {
    return fail(Code::bad_request,
                "field 'name' must have 1 to " + std::to_string(kTokenNameBytesMax) + " bytes");
  }
  for (const char c : name) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      return fail(Code::bad_request, "field 'name' may not have control characters");
    }
  }
  return {};
}

Result<void> read_role(std::string_view name, TokenRequest& request) {
  if (name == kIngestRole) {
    request.kind = TokenKind::ingest;
    return {};
  }
  const auto role = access::find_role(name);
  if (!role) {
    return fail(Code::bad_request, "field 'role' must be viewer, operator, admin or ingest");
  }
  request.role = *role;
  return {};
}

// What a body asks for. An ingest token is always one org's: what it sends is stored there.
Result<TokenRequest> parse_token_request(std::string_view body, Time now) {
  const json::object object = TRY(parse_json_object(body));
  TRY(refuse_unknown_fields(object, {"name", "role", "org", "repo", "expires_in_s"}));
  TokenRequest request;
  request.name = TRY(read_text(object, "name"));
  TRY(check_token_name(request.name));
  TRY(read_role(TRY(read_text(object, "role")), request));
  const std::string org = TRY(read_text(object, "org"));
  if (org != "*") TRY(access::check_org_name(org));
  if (org == "*" && request.kind == TokenKind::ingest) {
    return fail(Code::bad_request, "an ingest token belongs to one org, not to '*'");
  }
  request.orgs = OrgScope::parse(org);
  if (const auto repo = TRY(find_text(object, "repo"))) {
    if (request.kind != TokenKind::ingest) {
      return fail(Code::bad_request, "field 'repo' is for tokens with the role ingest");
    }
    TRY(access::check_repo_name(*repo));
    request.repo = *repo;
  }
  const auto life = TRY(find_int(object, "expires_in_s", 1, kTokenLifeSecondsMax));
  if (life) request.expires_at = now + std::chrono::seconds(*life);
  return request;
}

}  // namespace

void TokenRoutes::add_to(net::Router& router) {
  router.post("/api/v1/tokens", [this](net::Request& request) { return create(request); });
  router.get("/api/v1/tokens", [this](net::Request& request) { return list(request); });
  router.del("/api/v1/tokens/{id}", [this](net::Request& request) { return revoke(request); });
  router.get("/api/v1/audit", [this](net::Request& request) { return audit(request); });
}

Task<net::Response> TokenRoutes::create(net::Request& request) {
  const auto caller = co_await parts_.authenticator.require_operator(request, Role::admin);
  if (!caller) co_return access::refusal(caller.error());
  auto wanted = parse_token_request(request.body, parts_.clock.now());
  if (!wanted) co_return net::problem(wanted.error());
  // `*` is covered by `*` alone, so an org's admin cannot reach beyond it.
  const auto allowed = caller->orgs.require(wanted->orgs.text(), "org");
  if (!allowed) co_return net::problem(allowed.error());
  const auto issued = co_await parts_.tokens.issue(std::move(*wanted), caller->id);
  if (!issued) co_return net::problem(issued.error());
  json::object body = to_json(issued->token);
  body["token"] = issued->text.reveal();
  net::Response response = net::Response::json(201, json::serialize(body));
  response.headers.set("Cache-Control", "no-store");
  co_return response;
}

Task<net::Response> TokenRoutes::list(net::Request& request) {
  const auto caller = co_await parts_.authenticator.require_operator(request, Role::admin);
  if (!caller) co_return access::refusal(caller.error());
  const auto page = net::read_page(request);
  if (!page) co_return net::problem(page.error());
  const OrgScope orgs = caller->orgs.narrow(request.find_query("org"));
  auto tokens = co_await parts_.tokens.list(orgs, page->cursor, page->limit + 1);
  if (!tokens) co_return net::problem(tokens.error());
  const auto show = [](const Token& token) { return json::serialize(to_json(token)); };
  co_return net::page_of(std::move(*tokens), page->limit, show,
                         [](const Token& token) { return token.id; });
}

Task<net::Response> TokenRoutes::revoke(net::Request& request) {
  const auto caller = co_await parts_.authenticator.require_operator(request, Role::admin);
  if (!caller) co_return access::refusal(caller.error());
  const auto revoked =
      co_await parts_.tokens.revoke(request.parameter("id"), caller->orgs, caller->id);
  if (!revoked) co_return net::problem(revoked.error());
  co_return net::Response::empty(204);
}

Task<net::Response> TokenRoutes::audit(net::Request& request) {
  const auto caller = co_await parts_.authenticator.require_operator(request, Role::admin);
  if (!caller) co_return access::refusal(caller.error());
  const auto page = net::read_page(request);
  if (!page) co_return net::problem(page.error());
  const OrgScope orgs = caller->orgs.narrow(request.find_query("org"));
  auto rows = co_await access::list_audit(parts_.database, orgs, page->cursor, page->limit + 1);
  if (!rows) co_return net::problem(rows.error());
  const auto row_json = [](const access::AuditRow& row) {
    json::object object;
    object["id"] = row.id;
    object["at"] = to_rfc3339(row.at);
    object["who"] = row.entry.who;
    object["what"] = row.entry.what;
    object["subject"] = row.entry.subject;
    object["org"] = row.entry.org.empty() ? json::value(nullptr) : json::value(row.entry.org);
    object["detail"] = row.entry.detail;
    return json::serialize(object);
  };
  co_return net::page_of(std::move(*rows), page->limit, row_json,
                         [](const access::AuditRow& row) { return row.id; });
}

}  // namespace nimbus::control
