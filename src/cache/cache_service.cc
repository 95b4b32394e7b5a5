#include "cache/cache_service.h"

#include <boost/json.hpp>

#include "api/json_text.h"
#include "base/log.h"
#include "cache/twirp.h"

namespace nimbus::cache {
namespace {

constexpr std::string_view kService = "/twirp/github.actions.results.api.v1.CacheService/";

// Why nothing was stored, for the client to show.
net::Response not_ok(const Error& error) {
  api::JsonText json;
  json.boolean("ok", false);
  // Somebody else has stored it: nothing to tell.
  if (error.code != Code::conflict) json.text("message", "cache write denied: " + error.message);
  return net::Response::json(200, json.finish());
}

bool is_refusal(Code code) {
  return code == Code::conflict || code == Code::forbidden || code == Code::too_large ||
         code == Code::insufficient_storage;
}

struct KeyAndVersion {
  std::string key;
  std::string version;
};

Result<KeyAndVersion> read_key(const boost::json::object& body) {
  return KeyAndVersion{TRY(twirp_text(body, "key")), TRY(twirp_text(body, "version"))};
}

}  // namespace

void CacheService::add_to(net::Router& router) {
  const std::string service(kService);
  const net::RouteOptions options{.body_bytes_max = kTwirpBodyBytesMax};
  router.post(service + "CreateCacheEntry", [this](net::Request& r) { return create(r); }, options);
  router.post(
      service + "FinalizeCacheEntryUpload", [this](net::Request& r) { return finalize(r); },
      options);
  router.post(
      service + "GetCacheEntryDownloadURL", [this](net::Request& r) { return find(r); }, options);
}

Task<net::Response> CacheService::create(net::Request& request) {
  const auto caller = co_await core_.parts.authenticator.require_job(request, access::kScopeCache);
  if (!caller) co_return twirp_problem(caller.error());
  const auto body = read_twirp(request);
  if (!body) co_return twirp_problem(body.error());
  auto wanted = read_key(*body);
  if (!wanted) co_return twirp_problem(wanted.error());
  const Reach reach = reach_of_job(*caller);
  const auto session = co_await entries_.reserve(reach, std::move(wanted->key),
                                                 std::move(wanted->version), std::nullopt);
  if (!session) {
    co_return is_refusal(session.error().code) ? not_ok(session.error())
                                               : twirp_problem(session.error());
  }
  co_return net::Response::json(
      200, api::JsonText()
               .boolean("ok", true)
               .text("signed_upload_url", entries_.upload_url(request, **session))
               .finish());
}

Task<net::Response> CacheService::finalize(net::Request& request) {
  const auto caller = co_await core_.parts.authenticator.require_job(request, access::kScopeCache);
  if (!caller) co_return twirp_problem(caller.error());
  const auto body = read_twirp(request);
  if (!body) co_return twirp_problem(body.error());
  auto wanted = read_key(*body);
  if (!wanted) co_return twirp_problem(wanted.error());
  const auto size = twirp_integer(*body, "size_bytes");
  if (!size) co_return twirp_problem(size.error());
  const Reach reach = reach_of_job(*caller);
  const auto entered = co_await entries_.enter(reach, std::move(wanted->key),
                                               std::move(wanted->version), size->value_or(0));
  if (!entered) {
    co_return is_refusal(entered.error().code) ? not_ok(entered.error())
                                               : twirp_problem(entered.error());
  }
  co_return net::Response::json(
      200, api::JsonText().boolean("ok", true).text("entry_id", std::to_string(*entered)).finish());
}

Task<net::Response> CacheService::find(net::Request& request) {
  const auto caller = co_await core_.parts.authenticator.require_job(request, access::kScopeCache);
  if (!caller) co_return twirp_problem(caller.error());
  const auto body = read_twirp(request);
  if (!body) co_return twirp_problem(body.error());
  auto wanted = read_key(*body);
  if (!wanted) co_return twirp_problem(wanted.error());
  auto more = twirp_texts(*body, "restore_keys");
  if (!more) co_return twirp_problem(more.error());
  more->insert(more->begin(), std::move(wanted->key));
  const Reach reach = reach_of_job(*caller);
  const auto found = co_await entries_.find(reach, std::move(*more), std::move(wanted->version));
  if (!found) co_return twirp_problem(found.error());
  if (!*found) co_return net::Response::json(200, R"({"ok":false})");
  co_return net::Response::json(
      200, api::JsonText()
               .boolean("ok", true)
               .text("signed_download_url", entries_.download_url(request, **found))
               .text("matched_key", (*found)->key)
               .finish());
}

}  // namespace nimbus::cache
