#include "cache/reach.h"

#include <algorithm>

#include "base/check.h"
#include "base/text.h"

namespace nimbus::cache {
namespace {

constexpr size_t kScopeBytesMax = 1024;
constexpr std::string_view kOperator = "operator";

Result<std::string> read_scope(const net::Request& request) {
  std::string scope(request.find_query("ref").value_or(kSharedScope));
  const bool plain = std::none_of(scope.begin(), scope.end(),
                                  [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  if (scope.empty() || scope.size() > kScopeBytesMax || !plain) {
    return fail(Code::bad_request, "ref is not a ref", "write it like refs/heads/main");
  }
  return scope;
}

}  // namespace

Result<Place> Reach::write_place(Kind kind, std::string version) const {
  if (!writable) return fail(Code::forbidden, "this job may read the cache and not write to it");
  return Place{org, repo, kind, *writable, std::move(version)};
}

std::vector<Place> Reach::plain_places() const {
  std::vector<Place> places;
  places.reserve(readable.size() + 2);
  for (const std::string& scope : readable) {
    places.push_back({org, repo, Kind::plain, scope, ""});
  }
  const bool job = !repo.empty() && writer.trust != kOperator;
  if (!job) return places;
  for (const std::string& of : {repo, std::string()}) {
    places.push_back({org, of, Kind::plain, std::string(kSharedScope), ""});
  }
  return places;
}

Reach reach_of_job(const access::Caller& job) {
  CHECK(job.job.has_value());
  const access::JobClaims& claims = *job.job;
  Reach reach;
  reach.org = to_lower(claims.org);
  reach.repo = to_lower(claims.repo);
  for (const access::CacheScope& scope : claims.cache_scopes) {
    if (scope.read) reach.readable.push_back(scope.ref);
    if (scope.write && !reach.writable) reach.writable = scope.ref;
  }
  reach.job = claims.job;
  reach.fence = claims.fence;
  reach.writer = {job.id, claims.ref, claims.event, std::string(access::to_string(claims.trust))};
  return reach;
}

Result<Reach> reach_of_operator(const access::Caller& caller, const net::Request& request,
                                access::Role least) {
  const auto wanted = request.find_query("org");
  const auto single = caller.orgs.single();
  if (!wanted && !single) {
    return fail(Code::bad_request, "the token is not of one org", "add ?org=NAME");
  }
  Reach reach;
  reach.org = to_lower(wanted ? *wanted : std::string_view(*single));
  TRY(access::check_org_name(reach.org));
  TRY(caller.require(least, reach.org, "cache entry"));
  reach.repo = to_lower(request.find_query("repo").value_or(""));
  if (!reach.repo.empty()) TRY(access::check_repo_name(reach.repo));
  const std::string scope = TRY(read_scope(request));
  reach.readable = {scope};
  reach.writable = scope;
  reach.writer = {caller.id, "", "", std::string(kOperator)};
  return reach;
}

}  // namespace nimbus::cache
