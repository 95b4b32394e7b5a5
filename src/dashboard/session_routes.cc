#include "dashboard/session_routes.h"

#include <boost/json.hpp>

#include "base/json.h"
#include "base/log.h"

namespace nimbus::dashboard {
namespace {

namespace json = boost::json;
using access::CallerKind;

std::string cookie_header(std::string_view value, Duration life, bool secure) {
  return std::string(access::kSessionCookie) + "=" + std::string(value) +
         "; Path=/; HttpOnly; SameSite=Strict; Max-Age=" +
         std::to_string(std::chrono::duration_cast<std::chrono::seconds>(life).count()) +
         (secure ? "; Secure" : "");
}

net::Response session_answer(std::string_view role, const std::string& org,
                             const std::string& csrf) {
  json::object body;
  body["role"] = role;
  body["org"] = org;
  body["csrf"] = csrf;
  net::Response response = net::Response::json(200, json::serialize(body));
  response.headers.set("Cache-Control", "no-store");
  return response;
}

Result<std::string> parse_sign_in(const net::Request& request) {
  // Browsers set it and pages cannot: nobody is to be signed in by a page of another site.
  const std::string_view site = request.headers.find("Sec-Fetch-Site").value_or("");
  if (site == "cross-site" || site == "same-site") {
    return fail(Code::forbidden, "signing in from a page of another site is refused");
  }
  const json::object object = TRY(parse_json_object(request.body));
  TRY(refuse_unknown_fields(object, {"token"}));
  return read_text(object, "token");
}

}  // namespace

void SessionRoutes::add_to(net::Router& router) {
  net::RouteOptions small;
  small.body_bytes_max = 4096;
  router.post("/api/v1/session", [this](net::Request& request) { return sign_in(request); }, small);
  router.get("/api/v1/session", [this](net::Request& request) { return show(request); });
  router.del("/api/v1/session", [this](net::Request& request) { return sign_out(request); });
}

Task<net::Response> SessionRoutes::sign_in(net::Request& request) {
  const auto text = parse_sign_in(request);
  if (!text) co_return net::problem(text.error());
  const auto caller = co_await parts_.authenticator.admit(*text, request);
  if (!caller) co_return access::refusal(caller.error());
  if (caller->kind != CallerKind::operator_) {
    const Error refused{Code::forbidden, "this credential is not an operator's",
                        "sign in with a token made by nimbus token create"};
    co_return net::problem(refused);
  }
  const auto token = co_await parts_.tokens.find(*text);
  if (!token) co_return net::problem(token.error());
  if (!*token) co_return access::refusal({Code::unauthenticated, "the token has ended", {}});
  const auto cookie = co_await parts_.sessions.open(**token);
  if (!cookie) co_return net::problem(cookie.error());
  log_info("signed in", {{"token", caller->id}, {"peer", request.peer_address}});
  net::Response response = session_answer(access::to_string(caller->role), caller->orgs.text(),
                                          access::csrf_value(cookie->reveal()));
  response.headers.add("Set-Cookie",
                       cookie_header(cookie->reveal(), access::kSessionLifeMax, request.secure));
  co_return response;
}

Task<net::Response> SessionRoutes::show(net::Request& request) {
  const auto caller = co_await parts_.authenticator.require_operator(request, access::Role::viewer);
  if (!caller) co_return access::refusal(caller.error());
  // A bearer token needs no CSRF value: nothing sends it unasked.
  std::string csrf;
  if (caller->kind == CallerKind::session) {
    csrf = access::csrf_value(request.cookie(access::kSessionCookie).value_or(""));
  }
  co_return session_answer(access::to_string(caller->role), caller->orgs.text(), csrf);
}

Task<net::Response> SessionRoutes::sign_out(net::Request& request) {
  net::Response response = net::Response::empty(204);
  const bool has_cookie = request.cookie(access::kSessionCookie).has_value();
  if (has_cookie) {
    const auto caller = co_await parts_.authenticator.authenticate(request);
    if (caller && caller->kind == CallerKind::session) {
      const auto closed = co_await parts_.sessions.close(caller->credential);
      if (!closed) co_return net::problem(closed.error());
    } else if (!caller && caller.error().code != Code::unauthenticated) {
      co_return access::refusal(caller.error());
    }
  }
  // Also when the session had ended already: the browser is to forget it.
  response.headers.add("Set-Cookie", cookie_header("", Duration(0), request.secure));
  co_return response;
}

}  // namespace nimbus::dashboard
