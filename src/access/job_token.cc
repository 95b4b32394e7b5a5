#include "access/job_token.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "access/scope.h"
#include "base/check.h"
#include "base/encoding.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/text.h"

namespace nimbus::access {
namespace {

namespace json = boost::json;

constexpr std::string_view kIssuer = "nimbus";
constexpr std::string_view kHeader = R"({"alg":"HS256","typ":"JWT"})";
constexpr std::string_view kResultsScope = "Actions.Results:";
// Where jobs without a ref keep their cache entries: visible to each other, to no branch.
constexpr std::string_view kRefOfRefless = "refs/nimbus/none";
constexpr size_t kJsonDepth = 4;
constexpr size_t kScopesMax = 32;
constexpr size_t kCacheScopesMax = 16;
constexpr size_t kRefBytesMax = 1024;
constexpr size_t kBackendIdBytesMax = 128;
constexpr size_t kEventBytesMax = 64;
constexpr std::array<std::string_view, 5> kTrusts = {"branch", "pull_request", "fork", "unproven",
                                                     "native"};
constexpr int kPermissionRead = 1;
constexpr int kPermissionWrite = 2;

std::string cache_scopes_text(const std::vector<CacheScope>& scopes) {
  json::array list;
  for (const CacheScope& scope : scopes) {
    const int permission =
        (scope.read ? kPermissionRead : 0) | (scope.write ? kPermissionWrite : 0);
    list.push_back(json::object{{"Scope", scope.ref}, {"Permission", permission}});
  }
  return json::serialize(list);
}

Result<std::vector<CacheScope>> parse_cache_scopes(std::string_view text) {
  const json::value value = TRY(parse_json(text, kJsonDepth));
  if (!value.is_array() || value.get_array().size() > kCacheScopesMax) {
    return fail(Code::bad_request, "claim 'ac' is not a short list");
  }
  std::vector<CacheScope> scopes;
  for (const json::value& item : value.get_array()) {
    if (!item.is_object()) return fail(Code::bad_request, "claim 'ac' has a wrong entry");
    const json::object& entry = item.get_object();
    const int64_t permission = TRY(read_int(entry, "Permission", 0, 3));
    std::string ref = TRY(read_text(entry, "Scope"));
    if (ref.size() > kRefBytesMax) return fail(Code::bad_request, "claim 'ac' has a long ref");
    scopes.push_back({std::move(ref), (permission & kPermissionRead) != 0,
                      (permission & kPermissionWrite) != 0});
  }
  return scopes;
}

// "Actions.Results:RUN:JOB" among the words of `scp`, as artifact clients find it.
Result<void> parse_results_scope(std::string_view text, JobClaims& claims) {
  for (const std::string_view word : split(text, ' ')) {
    if (!word.starts_with(kResultsScope)) continue;
    const auto ids = split(word.substr(kResultsScope.size()), ':');
    if (ids.size() != 2 || ids[0].empty() || ids[1].empty() || ids[0].size() > kBackendIdBytesMax ||
        ids[1].size() > kBackendIdBytesMax) {
      break;
    }
    claims.run_backend_id = ids[0];
    claims.job_backend_id = ids[1];
    return {};
  }
  return fail(Code::bad_request, "claim 'scp' names no run and job");
}

Result<void> check_header(std::string_view encoded) {
  const std::string text = TRY(parse_base64url(encoded));
  const json::object header = TRY(parse_json_object(text, kJsonDepth));
  if (TRY(read_text(header, "alg")) != "HS256") return fail(Code::bad_request, "algorithm");
  const auto type = TRY(find_text(header, "typ"));
  if (type && !equal_ignoring_case(*type, "JWT")) return fail(Code::bad_request, "type");
  // RFC 7515 4.1.11: what a token calls critical must be understood, and we know no extension.
  if (header.contains("crit")) return fail(Code::bad_request, "critical extension");
  return {};
}

Result<Trust> parse_trust(const json::object& payload, const JobClaims& claims) {
  if (const auto name = TRY(find_text(payload, "trust"))) {
    const auto trust = find_trust(*name);
    if (!trust) return fail(Code::bad_request, "claim 'trust'");
    return *trust;
  }
  const bool isolated = std::any_of(
      claims.cache_scopes.begin(), claims.cache_scopes.end(),
      [](const CacheScope& scope) { return scope.write && is_isolated_ref(scope.ref); });
  return isolated ? Trust::unproven : Trust::native;
}

struct Payload {
  JobClaims claims;
  Time not_before;
};

Result<Payload> parse_payload(std::string_view encoded) {
  const std::string text = TRY(parse_base64url(encoded));
  const json::object payload = TRY(parse_json_object(text, kJsonDepth));
  if (TRY(read_text(payload, "iss")) != kIssuer) return fail(Code::bad_request, "issuer");
  const auto audience = TRY(find_text(payload, "aud"));
  if (audience && *audience != kIssuer) return fail(Code::bad_request, "audience");
  JobClaims claims;
  claims.org = TRY(read_text(payload, "org"));
  TRY(check_org_name(claims.org));
  claims.repo = TRY(read_text(payload, "repo"));
  TRY(check_repo_name(claims.repo));
  claims.ref = TRY(find_text(payload, "ref")).value_or("");
  if (claims.ref.size() > kRefBytesMax) return fail(Code::bad_request, "claim 'ref' is too long");
  claims.job = {TRY(read_int(payload, "job", 1))};
  claims.fence = {TRY(read_int(payload, "fence", 1))};
  claims.scopes = TRY(find_texts(payload, "scopes"));
  if (claims.scopes.size() > kScopesMax) return fail(Code::bad_request, "too many scopes");
  TRY(parse_results_scope(TRY(read_text(payload, "scp")), claims));
  claims.cache_scopes = TRY(parse_cache_scopes(TRY(read_text(payload, "ac"))));
  claims.event = TRY(find_text(payload, "event")).value_or("");
  if (claims.event.size() > kEventBytesMax) return fail(Code::bad_request, "claim 'event'");
  claims.trust = TRY(parse_trust(payload, claims));
  constexpr int64_t kSecondsMax = int64_t{1} << 40;  // keeps microseconds within 64 bits
  claims.issued_at = from_us(TRY(read_int(payload, "iat", 0, kSecondsMax)) * 1'000'000);
  claims.expires_at = from_us(TRY(read_int(payload, "exp", 0, kSecondsMax)) * 1'000'000);
  const auto not_before = TRY(find_int(payload, "nbf", 0, kSecondsMax));
  return Payload{std::move(claims), from_us(not_before.value_or(0) * 1'000'000)};
}

}  // namespace

std::string_view to_string(Trust trust) { return kTrusts[static_cast<size_t>(trust)]; }

std::optional<Trust> find_trust(std::string_view name) {
  const auto found = std::find(kTrusts.begin(), kTrusts.end(), name);
  if (found == kTrusts.end()) return std::nullopt;
  return static_cast<Trust>(found - kTrusts.begin());
}

bool is_isolated_ref(std::string_view ref) {
  return ref.starts_with("refs/pull/") || ref.starts_with("refs/nimbus/");
}

bool JobClaims::has_scope(std::string_view scope) const {
  return std::find(scopes.begin(), scopes.end(), scope) != scopes.end();
}

JobClaims make_job_claims(const JobClaimsInput& input) {
  JobClaims claims;
  claims.org = input.org;
  claims.repo = input.repo;
  claims.ref = input.ref;
  claims.job = input.job;
  claims.fence = input.fence;
  for (const auto scope : {kScopeLogs, kScopeTelemetry, kScopeCache, kScopeArtifacts,
                           kScopeRegistryPull, kScopeRegistryPush}) {
    claims.scopes.emplace_back(scope);
  }
  const std::string& wanted = input.cache_ref.empty() ? input.ref : input.cache_ref;
  const std::string own = wanted.empty() ? std::string(kRefOfRefless) : wanted;
  claims.cache_scopes.push_back({own, true, true});
  for (const std::string& ref : {input.base_ref, input.default_ref}) {
    const bool known = std::any_of(claims.cache_scopes.begin(), claims.cache_scopes.end(),
                                   [&](const CacheScope& scope) { return scope.ref == ref; });
    if (!ref.empty() && !known) claims.cache_scopes.push_back({ref, true, false});
  }
  claims.event = input.event.substr(0, kEventBytesMax);
  claims.trust = input.trust;
  claims.job_backend_id = to_string(input.job);
  claims.run_backend_id = input.run_id == 0 ? claims.job_backend_id : std::to_string(input.run_id);
  claims.issued_at = input.now;
  claims.expires_at = input.expires_at;
  return claims;
}

JobTokens::JobTokens(const std::vector<Secret>& keys) {
  CHECK(!keys.empty());
  for (const Secret& key : keys) {
    CHECK(key.reveal().size() >= kJobTokenKeyBytesMin);
    keys_.emplace_back(key.reveal());
  }
}
JobTokens::~JobTokens() = default;
JobTokens::JobTokens(JobTokens&&) noexcept = default;

std::string JobTokens::sign(const JobClaims& claims) const {
  json::array scopes;
  for (const std::string& scope : claims.scopes) scopes.emplace_back(scope);
  const json::object payload{
      {"iss", kIssuer},
      {"aud", kIssuer},
      {"sub", "job:" + to_string(claims.job)},
      {"org", claims.org},
      {"repo", claims.repo},
      {"ref", claims.ref},
      {"job", claims.job.value},
      {"fence", claims.fence.value},
      {"scopes", std::move(scopes)},
      {"scp", std::string(kResultsScope) + claims.run_backend_id + ":" + claims.job_backend_id},
      {"ac", cache_scopes_text(claims.cache_scopes)},
      {"event", claims.event},
      {"trust", to_string(claims.trust)},
      {"iat", to_seconds(claims.issued_at)},
      {"exp", to_seconds(claims.expires_at)},
  };
  std::string token = to_base64url(kHeader) + "." + to_base64url(json::serialize(payload));
  token += "." + to_base64url(keys_.front().sign(token));
  return token;
}

Result<JobClaims> JobTokens::verify(std::string_view token, Time now, JobTokenFault* fault) const {
  const auto refuse = [fault](JobTokenFault why, const char* message) {
    if (fault != nullptr) *fault = why;
    return fail(Code::unauthenticated, message);
  };
  if (token.size() > kJobTokenBytesMax) {
    return refuse(JobTokenFault::malformed, "job token is not valid");
  }
  const auto parts = split(token, '.');
  const auto signature = parts.size() == 3 ? parse_base64url(parts[2]) : Result<std::string>("");
  if (parts.size() != 3 || !signature) {
    return refuse(JobTokenFault::malformed, "job token is not valid");
  }
  // Every key is tried, so that time does not tell which one signed.
  const std::string_view signed_part = token.substr(0, token.size() - parts[2].size() - 1);
  bool genuine = false;
  for (const HmacKey& key : keys_) {
    genuine = equal_in_constant_time(key.sign(signed_part), *signature) || genuine;
  }
  if (!genuine) return refuse(JobTokenFault::forged, "job token is not valid");
  if (!check_header(parts[0])) return refuse(JobTokenFault::malformed, "job token is not valid");
  auto payload = parse_payload(parts[1]);
  if (!payload) return refuse(JobTokenFault::malformed, "job token is not valid");
  if (now >= payload->claims.expires_at + kJobTokenLeeway) {
    return refuse(JobTokenFault::expired, "job token has expired with its lease");
  }
  if (payload->not_before > now + kJobTokenLeeway) {
    return refuse(JobTokenFault::expired, "job token is not valid yet");
  }
  return std::move(payload->claims);
}

Result<std::vector<Secret>> parse_job_token_keys(std::string_view text) {
  std::vector<Secret> keys;
  for (const std::string_view line : split(text, '\n')) {
    const std::string_view key = trim(line);
    if (key.empty()) continue;
    if (key.size() < kJobTokenKeyBytesMin) {
      return fail(Code::bad_request, "a job token key is shorter than " +
                                         std::to_string(kJobTokenKeyBytesMin) + " bytes");
    }
    keys.emplace_back(std::string(key));
  }
  if (keys.empty() || keys.size() > 2) {
    return fail(Code::bad_request,
                "the job token key file has " + std::to_string(keys.size()) + " keys",
                "write the current key on the first line, the one before it on the second");
  }
  return keys;
}

}  // namespace nimbus::access
