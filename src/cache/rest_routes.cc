#include "cache/rest_routes.h"

#include <boost/json.hpp>
#include <charconv>

#include "api/json_text.h"
#include "base/json.h"
#include "base/text.h"
#include "cache/upload_range.h"

namespace nimbus::cache {
namespace {

constexpr std::string_view kRoot = "/_apis/artifactcache/";
constexpr size_t kBodyBytesMax = 16 * 1024;

// {"message"} is what these clients show; 409 also wants a typeKey.
net::Response rest_problem(const Error& error) {
  api::JsonText json;
  if (error.code == Code::conflict) json.text("typeKey", "ArtifactCacheItemAlreadyExistsException");
  json.text("message", error.code == Code::internal ? "the server made a mistake" : error.message);
  // Their size limit is a 400.
  const int status = error.code == Code::too_large ? 400 : http_status(error.code);
  net::Response response = net::Response::json(status, json.finish());
  if (status == 401) response.headers.set("WWW-Authenticate", "Bearer");
  return response;
}

std::optional<int64_t> parse_id(std::string_view text) {
  int64_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return id;
}

Error no_upload() { return {Code::not_found, "no such upload"}; }

std::string entry_json(const Entry& entry) {
  return api::JsonText()
      .text("cacheKey", entry.key)
      .text("cacheVersion", entry.place.version)
      .text("scope", entry.place.scope)
      .time("creationTime", entry.created_at)
      .finish();
}

}  // namespace

void RestRoutes::add_to(net::Router& router) {
  const std::string root(kRoot);
  const net::RouteOptions small{.body_bytes_max = kBodyBytesMax};
  const net::RouteOptions large{
      .body_bytes_max = static_cast<size_t>(core_.options.entry_bytes_max), .stream_body = true};
  router.get(root + "cache", [this](net::Request& r) { return find(r); }, small);
  router.get(root + "caches", [this](net::Request& r) { return list(r); }, small);
  router.post(root + "caches", [this](net::Request& r) { return reserve(r); }, small);
  router.add("PATCH", root + "caches/{id}", [this](net::Request& r) { return upload(r); }, large);
  router.post(root + "caches/{id}", [this](net::Request& r) { return commit(r); }, small);
}

Task<Result<Reach>> RestRoutes::admit(const net::Request& request) {
  const auto caller = co_await core_.parts.authenticator.require_job(request, access::kScopeCache);
  if (!caller) co_return fail(caller.error());
  co_return reach_of_job(*caller);
}

Task<net::Response> RestRoutes::find(net::Request& request) {
  const auto reach = co_await admit(request);
  if (!reach) co_return rest_problem(reach.error());
  std::vector<std::string> keys;
  const std::string_view text = request.find_query("keys").value_or("");
  for (const std::string_view key : split(text, ',')) keys.emplace_back(trim(key));
  std::string version(request.find_query("version").value_or(""));
  const auto found = co_await entries_.find(*reach, std::move(keys), std::move(version));
  if (!found) co_return rest_problem(found.error());
  if (!*found) co_return net::Response::empty(204);
  co_return net::Response::json(
      200, api::JsonText()
               .text("archiveLocation", entries_.download_url(request, **found))
               .text("cacheKey", (*found)->key)
               .text("scope", (*found)->place.scope)
               .time("creationTime", (*found)->created_at)
               .finish());
}

Task<net::Response> RestRoutes::list(net::Request& request) {
  const auto reach = co_await admit(request);
  if (!reach) co_return rest_problem(reach.error());
  std::string key(request.find_query("key").value_or(""));
  const auto entries = co_await list_visible(core_, *reach, std::move(key));
  if (!entries) co_return rest_problem(entries.error());
  std::vector<std::string> items;
  for (const Entry& entry : *entries) items.push_back(entry_json(entry));
  co_return net::Response::json(200, api::JsonText()
                                         .integer("totalCount", static_cast<int64_t>(items.size()))
                                         .raw("artifactCaches", api::json_array(items))
                                         .finish());
}

Task<net::Response> RestRoutes::reserve(net::Request& request) {
  const auto reach = co_await admit(request);
  if (!reach) co_return rest_problem(reach.error());
  const auto body = parse_json_object(request.body, 4);
  if (!body) co_return rest_problem(body.error());
  auto key = read_text(*body, "key");
  if (!key) co_return rest_problem(key.error());
  auto version = read_text(*body, "version");
  if (!version) co_return rest_problem(version.error());
  const auto size = find_int(*body, "cacheSize", 0);
  if (!size) co_return rest_problem(size.error());
  const auto session =
      co_await entries_.reserve(*reach, std::move(*key), std::move(*version), *size);
  if (!session) co_return rest_problem(session.error());
  co_return net::Response::json(201, api::JsonText().integer("cacheId", (*session)->id()).finish());
}

Task<net::Response> RestRoutes::upload(net::Request& request) {
  const auto reach = co_await admit(request);
  if (!reach) co_return rest_problem(reach.error());
  const auto id = parse_id(request.parameter("id"));
  const auto session = id ? entries_.find_upload(*reach, *id) : nullptr;
  if (session == nullptr) co_return rest_problem(no_upload());
  const auto range = parse_content_range(request.headers.find("Content-Range").value_or(""));
  if (!range) {
    co_return rest_problem({Code::bad_request, "Content-Range is not `bytes FIRST-LAST/*`"});
  }
  const auto written = co_await session->write_range(range->offset, range->size, *request.reader);
  if (!written) co_return rest_problem(written.error());
  co_return net::Response::empty(204);
}

Task<net::Response> RestRoutes::commit(net::Request& request) {
  const auto reach = co_await admit(request);
  if (!reach) co_return rest_problem(reach.error());
  const auto id = parse_id(request.parameter("id"));
  const auto session = id ? entries_.find_upload(*reach, *id) : nullptr;
  if (session == nullptr) co_return rest_problem(no_upload());
  const auto body = parse_json_object(request.body, 4);
  if (!body) co_return rest_problem(body.error());
  const auto size = read_int(*body, "size", 0);
  if (!size) co_return rest_problem(size.error());
  const auto completed = co_await session->complete(*size);
  if (!completed) co_return rest_problem(completed.error());
  auto upload = session;
  const auto entered = co_await entries_.enter(*reach, std::move(upload), *size);
  if (!entered) co_return rest_problem(entered.error());
  co_return net::Response::empty(204);
}

}  // namespace nimbus::cache
