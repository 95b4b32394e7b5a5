#include "registry/front.h"

#include <boost/json.hpp>

#include "base/text.h"
#include "registry/api_error.h"

namespace nimbus::registry {
namespace {

constexpr std::string_view kService = "nimbus-registry";

// Where the client reached us, as it or a proxy before us says: it only comes back to whoever sent
// it.
std::string own_url(const net::Request& request) {
  const auto forwarded = request.headers.find("X-Forwarded-Proto");
  const auto forwarded_host = request.headers.find("X-Forwarded-Host");
  const bool tls = forwarded ? *forwarded == "https" : request.secure;
  const std::string host(
      forwarded_host.value_or(request.headers.find("Host").value_or("localhost")));
  return (tls ? "https://" : "http://") + host;
}

// 401 with how to do better. `scope` is what the request would have taken, "" for none.
net::Response challenge(const net::Request& request, std::string_view message,
                        const std::string& scope, std::string_view fault = {}) {
  net::Response response = api_error(401, "UNAUTHORIZED", message);
  std::string bearer = "Bearer realm=\"" + own_url(request) + "/v2/token\",service=\"" +
                       std::string(kService) + "\"";
  if (!scope.empty()) bearer += ",scope=\"" + scope + "\"";
  if (!fault.empty()) bearer += ",error=\"" + std::string(fault) + "\"";
  response.headers.add("WWW-Authenticate", bearer);
  response.headers.add("WWW-Authenticate", "Basic realm=\"nimbus\"");
  return response;
}

Action action_of(const Place& place, std::string_view method) {
  const bool session =
      place.resource == Resource::upload || place.resource == Resource::upload_start;
  if (session) return Action::push;
  if (method == "GET" || method == "HEAD") return Action::pull;
  return method == "DELETE" ? Action::delete_ : Action::push;
}

std::string scope_of(const Place& place, Action action) {
  if (place.repository.empty()) return {};
  return "repository:" + place.repository + ":" +
         (action == Action::push ? "pull,push" : std::string(to_string(action)));
}

net::Response unsupported(std::string_view method) {
  return api_error(405, "UNSUPPORTED", "this path does not take " + std::string(method));
}

}  // namespace

void Front::add_to(net::Router& router) {
  net::RouteOptions streamed;
  streamed.stream_body = true;
  streamed.body_bytes_max = kBlobBytesMax;
  const auto all = [this](net::Request& request) { return serve(request); };
  router.get("/v2", all);
  for (const char* method : {"GET", "POST", "PUT", "PATCH", "DELETE"}) {
    router.add(method, "/v2/{path...}", all, streamed);
  }
  router.get("/v2/token", [this](net::Request& request) { return give_token(request); });
  // Clients that begin with OAuth's POST fall back to GET on 405.
  router.post("/v2/token", [](net::Request& request) -> Task<net::Response> {
    net::Response response = unsupported(request.method);
    response.headers.add("Allow", "GET");
    co_return response;
  });
}

Task<Result<Visitor>> Front::authenticate(const net::Request& request) {
  const auto bearer = request.bearer();
  if (bearer && bearer->starts_with(kTokenPrefix)) {
    CO_TRY_ASSIGN(Visitor visitor, core_.mint.read(*bearer, core_.clock.now()));
    CO_TRY(co_await core_.authenticator.confirm(visitor.caller));
    co_return visitor;
  }
  CO_TRY_ASSIGN(access::Caller caller, co_await core_.authenticator.authenticate(request, true));
  co_return Visitor{std::move(caller), std::nullopt};
}

Task<net::Response> Front::serve(net::Request& request) {
  net::Response response = co_await let_in(request);
  response.headers.add("Docker-Distribution-API-Version", "registry/2.0");
  co_return response;
}

Task<net::Response> Front::let_in(net::Request& request) {
  constexpr std::string_view kRoot = "/v2/";
  const std::string_view rest =
      request.path.size() > kRoot.size() ? std::string_view(request.path).substr(kRoot.size()) : "";
  auto place = parse_place(rest);
  const Action action = place ? action_of(*place, request.method) : Action::pull;
  auto visitor = co_await authenticate(request);
  if (!visitor) {
    if (visitor.error().code != Code::unauthenticated) {
      co_return api_error(visitor.error(), "UNAUTHORIZED");
    }
    co_return challenge(request, visitor.error().message, place ? scope_of(*place, action) : "");
  }
  if (!place) co_return api_error(404, "UNSUPPORTED", "there is nothing at this path");
  if (place->resource == Resource::base) co_return net::Response::json(200, "{}");
  Visit visit{request, std::move(*place), std::move(*visitor)};
  if (const auto ns = request.find_query("ns")) co_return co_await mirror_.serve(visit, *ns);
  const auto named = check_repository(visit.place.repository);
  if (!named) co_return api_error(named.error(), "NAME_INVALID");
  if (!may(visit.visitor, action, visit.place.repository, core_.options.runner_org)) {
    co_return refuse(visit, action);
  }
  co_return co_await act(visit);
}

net::Response Front::refuse(const Visit& visit, Action action) const {
  if (visit.visitor.granted) {
    return challenge(visit.request, "the token was not granted this", scope_of(visit.place, action),
                     "insufficient_scope");
  }
  const std::string_view org = org_of(visit.place.repository);
  const bool known =
      visit.visitor.caller.orgs.covers(org) || equal_ignoring_case(org, core_.options.runner_org);
  if (!known) return api_error(404, "NAME_UNKNOWN", "there is no such repository");
  return api_error(403, "DENIED",
                   "this credential may not " + std::string(to_string(action)) + " here");
}

Task<net::Response> Front::act(Visit& visit) {
  const std::string& method = visit.request.method;
  const bool reads = method == "GET" || method == "HEAD";
  switch (visit.place.resource) {
    case Resource::blob:
      if (reads) co_return co_await blobs_.get(visit);
      if (method == "DELETE") co_return co_await blobs_.remove(visit);
      break;
    case Resource::manifest:
      if (reads) co_return co_await manifests_.get(visit);
      if (method == "PUT") co_return co_await manifests_.put(visit);
      if (method == "DELETE") co_return co_await manifests_.remove(visit);
      break;
    case Resource::tags:
      if (reads) co_return co_await listings_.tags(visit);
      break;
    case Resource::referrers:
      if (reads) co_return co_await listings_.referrers(visit);
      break;
    case Resource::upload_start:
    case Resource::upload: co_return co_await act_on_upload(visit);
    case Resource::base: break;
  }
  co_return unsupported(method);
}

Task<net::Response> Front::act_on_upload(Visit& visit) {
  const std::string& method = visit.request.method;
  const bool begins = visit.place.resource == Resource::upload_start;
  if (begins && method == "POST") co_return co_await uploads_.start(visit);
  if (!begins && method == "PATCH") co_return co_await uploads_.append(visit);
  if (!begins && method == "PUT") co_return co_await uploads_.finish(visit);
  if (!begins && method == "GET") co_return co_await uploads_.status(visit);
  if (!begins && method == "DELETE") co_return co_await uploads_.cancel(visit);
  co_return unsupported(method);
}

// What is asked for beyond the caller's rights is left out, never refused: one scope of two must
// not break a push, and the answer tells nothing about what exists.
Task<net::Response> Front::give_token(net::Request& request) {
  auto visitor = co_await authenticate(request);
  if (!visitor) {
    if (visitor.error().code != Code::unauthenticated) {
      co_return api_error(visitor.error(), "UNAUTHORIZED");
    }
    net::Response response = api_error(401, "UNAUTHORIZED", visitor.error().message);
    response.headers.add("WWW-Authenticate", "Basic realm=\"nimbus\"");
    co_return response;
  }
  if (visitor->granted) {
    co_return api_error(403, "DENIED", "a registry token makes no other token");
  }
  std::vector<std::string> scopes;
  for (const auto& [name, value] : request.query) {
    if (name == "scope") scopes.push_back(value);
  }
  const Time now = core_.clock.now();
  const auto grants = intersect(visitor->caller, parse_scopes(scopes), core_.options.runner_org);
  const TokenMint::Minted minted = core_.mint.mint(visitor->caller, grants, now);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(minted.lives).count();
  const boost::json::object body{{"token", minted.text},
                                 {"access_token", minted.text},
                                 {"expires_in", seconds},
                                 {"issued_at", to_rfc3339(now)}};
  net::Response response = net::Response::json(200, boost::json::serialize(body));
  response.headers.add("Cache-Control", "no-store");
  co_return response;
}

}  // namespace nimbus::registry
