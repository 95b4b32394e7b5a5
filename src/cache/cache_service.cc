#include "cache/cache_service.h"

#include <array>
#include <boost/json.hpp>

#include "base/log.h"
#include "cache/twirp.h"

namespace nimbus::cache {
namespace {

constexpr std::string_view kService = "/twirp/github.actions.results.api.v1.CacheService/";

// By github.actions.results.api.v1; `metadata` (1) of the requests is not read: the token tells
// more.
constexpr TwirpField kKey{2, "key", TwirpKind::text};
constexpr std::array kCreateRequest{kKey, TwirpField{3, "version", TwirpKind::text}};
constexpr std::array kFinalizeRequest{kKey, TwirpField{3, "size_bytes", TwirpKind::integer},
                                      TwirpField{4, "version", TwirpKind::text}};
constexpr std::array kFindRequest{kKey, TwirpField{3, "restore_keys", TwirpKind::texts},
                                  TwirpField{4, "version", TwirpKind::text}};
constexpr TwirpField kOk{1, "ok", TwirpKind::boolean};
constexpr TwirpField kUploadUrl{2, "signed_upload_url", TwirpKind::text};
constexpr TwirpField kEntryId{2, "entry_id", TwirpKind::integer};
constexpr TwirpField kDownloadUrl{2, "signed_download_url", TwirpKind::text};
constexpr TwirpField kMatchedKey{3, "matched_key", TwirpKind::text};
constexpr TwirpField kMessage{3, "message", TwirpKind::text};

// Why nothing was stored, for the client to show.
net::Response not_ok(const net::Request& request, const Error& error) {
  TwirpAnswer answer(request);
  answer.boolean(kOk, false);
  // Somebody else has stored it: nothing to tell.
  if (error.code != Code::conflict) answer.text(kMessage, "cache write denied: " + error.message);
  return answer.finish();
}

bool is_refusal(Code code) {
  return code == Code::forbidden || code == Code::too_large || code == Code::insufficient_storage;
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
  const auto body = read_twirp(request, kCreateRequest);
  if (!body) co_return twirp_problem(body.error());
  auto wanted = read_key(*body);
  if (!wanted) co_return twirp_problem(wanted.error());
  const Reach reach = reach_of_job(*caller);
  const auto session = co_await entries_.reserve(reach, std::move(wanted->key),
                                                 std::move(wanted->version), std::nullopt);
  // A key that is taken is 409 as GitHub says it; after anything else sccache would no longer
  // write.
  if (!session) {
    co_return is_refusal(session.error().code) ? not_ok(request, session.error())
                                               : twirp_problem(session.error());
  }
  co_return TwirpAnswer(request)
      .boolean(kOk, true)
      .text(kUploadUrl, entries_.upload_url(request, **session))
      .finish();
}

Task<net::Response> CacheService::finalize(net::Request& request) {
  const auto caller = co_await core_.parts.authenticator.require_job(request, access::kScopeCache);
  if (!caller) co_return twirp_problem(caller.error());
  const auto body = read_twirp(request, kFinalizeRequest);
  if (!body) co_return twirp_problem(body.error());
  auto wanted = read_key(*body);
  if (!wanted) co_return twirp_problem(wanted.error());
  const auto size = twirp_integer(*body, "size_bytes");
  if (!size) co_return twirp_problem(size.error());
  const Reach reach = reach_of_job(*caller);
  const auto entered = co_await entries_.enter(reach, std::move(wanted->key),
                                               std::move(wanted->version), size->value_or(0));
  if (!entered) {
    const Code code = entered.error().code;
    co_return is_refusal(code) || code == Code::conflict ? not_ok(request, entered.error())
                                                         : twirp_problem(entered.error());
  }
  co_return TwirpAnswer(request).boolean(kOk, true).integer(kEntryId, *entered).finish();
}

Task<net::Response> CacheService::find(net::Request& request) {
  const auto caller = co_await core_.parts.authenticator.require_job(request, access::kScopeCache);
  if (!caller) co_return twirp_problem(caller.error());
  const auto body = read_twirp(request, kFindRequest);
  if (!body) co_return twirp_problem(body.error());
  auto wanted = read_key(*body);
  if (!wanted) co_return twirp_problem(wanted.error());
  auto more = twirp_texts(*body, "restore_keys");
  if (!more) co_return twirp_problem(more.error());
  more->insert(more->begin(), std::move(wanted->key));
  const Reach reach = reach_of_job(*caller);
  const auto found = co_await entries_.find(reach, std::move(*more), std::move(wanted->version));
  if (!found) co_return twirp_problem(found.error());
  if (!*found) co_return TwirpAnswer(request).boolean(kOk, false).finish();
  co_return TwirpAnswer(request)
      .boolean(kOk, true)
      .text(kDownloadUrl, entries_.download_url(request, **found))
      .text(kMatchedKey, (*found)->key)
      .finish();
}

}  // namespace nimbus::cache
