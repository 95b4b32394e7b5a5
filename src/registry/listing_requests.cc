#include "registry/listing_requests.h"

#include <boost/json.hpp>
#include <charconv>

#include "registry/api_error.h"
#include "registry/manifest_table.h"

namespace nimbus::registry {
namespace {

namespace json = boost::json;

// The page size asked for, at most `max`.
Result<int64_t> read_page_size(const net::Request& request, int64_t max) {
  const auto text = request.find_query("n");
  if (!text) return max;
  int64_t n = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), n);
  const bool number = end == text->data() + text->size();
  if (error == std::errc::result_out_of_range && number) return max;
  if (error != std::errc() || !number || n < 0) {
    return fail(Code::bad_request, "n is not a number of entries");
  }
  return std::min(n, max);
}

void link_next(net::Response& response, const std::string& path, int64_t n, std::string_view last,
               std::string_view more = "") {
  response.headers.add("Link", "<" + path + "?n=" + std::to_string(n) +
                                   "&last=" + net::percent_encode(last) + std::string(more) +
                                   ">; rel=\"next\"");
}

json::object show(const Referrer& referrer) {
  json::object out{
      {"mediaType", referrer.media_type}, {"digest", referrer.digest}, {"size", referrer.size}};
  if (!referrer.artifact_type.empty()) out["artifactType"] = referrer.artifact_type;
  if (!referrer.annotations.empty()) out["annotations"] = json::parse(referrer.annotations);
  return out;
}

}  // namespace

Task<net::Response> ListingRequests::tags(Visit& visit) {
  const auto n = read_page_size(visit.request, kTagsPageMax);
  if (!n) co_return api_error(n.error(), "PAGINATION_NUMBER_INVALID");
  const std::string& repository = visit.place.repository;
  using Tags = std::optional<std::vector<std::string>>;
  const std::string last(visit.request.find_query("last").value_or(""));
  Work<Tags> work = [repository, last, limit = *n + 1](db::Transaction& tx) {
    return list_tags(tx, repository, last, limit);
  };
  auto tags = co_await core_.database.read<Tags>(std::move(work));
  if (!tags) co_return api_error(tags.error(), "NAME_UNKNOWN");
  if (!*tags) co_return api_error(404, "NAME_UNKNOWN", "there is no such repository");
  const bool more = *n > 0 && (*tags)->size() > static_cast<size_t>(*n);
  if ((*tags)->size() > static_cast<size_t>(*n)) (*tags)->resize(static_cast<size_t>(*n));
  json::array names;
  for (const std::string& tag : **tags) names.emplace_back(tag);
  const json::object body{{"name", repository}, {"tags", std::move(names)}};
  net::Response response = net::Response::json(200, json::serialize(body));
  if (more) link_next(response, "/v2/" + repository + "/tags/list", *n, (*tags)->back());
  co_return response;
}

Task<net::Response> ListingRequests::referrers(Visit& visit) {
  const auto digest = blob::parse_digest(visit.place.reference);
  if (!digest) co_return api_error(digest.error(), "DIGEST_INVALID");
  const auto n = read_page_size(visit.request, kReferrersPageMax);
  if (!n) co_return api_error(n.error(), "PAGINATION_NUMBER_INVALID");
  ReferrerQuery query;
  query.repository = visit.place.repository;
  query.subject = visit.place.reference;
  query.artifact_type = visit.request.find_query("artifactType").value_or("");
  query.last = visit.request.find_query("last").value_or("");
  query.limit = *n + 1;
  Work<std::vector<Referrer>> work = [query](db::Transaction& tx) {
    return list_referrers(tx, query);
  };
  auto found = co_await core_.database.read<std::vector<Referrer>>(std::move(work));
  if (!found) co_return api_error(found.error(), "NAME_UNKNOWN");
  const bool more = *n > 0 && found->size() > static_cast<size_t>(*n);
  if (found->size() > static_cast<size_t>(*n)) found->resize(static_cast<size_t>(*n));
  json::array manifests;
  for (const Referrer& referrer : *found) manifests.emplace_back(show(referrer));
  const json::object body{
      {"schemaVersion", 2}, {"mediaType", kOciIndex}, {"manifests", std::move(manifests)}};
  net::Response response = net::Response::json(200, json::serialize(body));
  response.headers.set("Content-Type", kOciIndex);
  const std::string& type = query.artifact_type;
  if (!type.empty()) response.headers.add("OCI-Filters-Applied", "artifactType");
  if (more) {
    const std::string filter = type.empty() ? "" : "&artifactType=" + net::percent_encode(type);
    link_next(response, "/v2/" + query.repository + "/referrers/" + query.subject, *n,
              found->back().digest, filter);
  }
  co_return response;
}

}  // namespace nimbus::registry
