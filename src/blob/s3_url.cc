#include "blob/s3_url.h"

#include "base/text.h"
#include "net/url.h"

namespace nimbus::blob {
namespace {

bool made_of(std::string_view text, std::string_view more) {
  for (const char c : text) {
    const bool good =
        (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || more.find(c) != std::string_view::npos;
    if (!good) return false;
  }
  return true;
}

auto wrong(std::string_view url, const std::string& why) {
  return fail(Code::bad_request, "blob.store '" + std::string(url) + "' " + why,
              "write it like s3://bucket/prefix?region=eu-central-1, with &endpoint=https://… for "
              "a server that is not AWS");
}

Result<void> read_query(std::string_view url, std::string_view query, std::string& endpoint,
                        S3Location& location) {
  for (const std::string_view field : split(query, '&')) {
    const size_t equals = field.find('=');
    const std::string_view name = field.substr(0, equals);
    const std::string_view value =
        equals == std::string_view::npos ? std::string_view() : field.substr(equals + 1);
    if (name == "endpoint") {
      endpoint = value;
    } else if (name == "region") {
      location.region = value;
    } else if (!field.empty()) {
      return wrong(url, "has '" + std::string(name) + "', which is neither endpoint nor region");
    }
  }
  return {};
}

}  // namespace

Result<S3Location> parse_s3_url(std::string_view url) {
  constexpr std::string_view kScheme = "s3://";
  if (!url.starts_with(kScheme)) return wrong(url, "does not begin with s3://");
  std::string_view rest = url.substr(kScheme.size());
  S3Location location;
  location.region = "us-east-1";
  std::string endpoint;
  if (const size_t question = rest.find('?'); question != std::string_view::npos) {
    TRY(read_query(url, rest.substr(question + 1), endpoint, location));
    rest = rest.substr(0, question);
  }
  const size_t slash = rest.find('/');
  const std::string bucket(rest.substr(0, slash));
  if (bucket.size() < 3 || bucket.size() > 63 || !made_of(bucket, ".-")) {
    return wrong(url, "names no bucket of 3 to 63 small letters, digits, dots and hyphens");
  }
  if (slash != std::string_view::npos) location.prefix = rest.substr(slash + 1);
  while (location.prefix.ends_with('/')) location.prefix.pop_back();
  if (!location.prefix.empty()) location.prefix += '/';
  constexpr std::string_view kPrefix = "ABCDEFGHIJKLMNOPQRSTUVWXYZ._-/";
  if (!made_of(location.prefix, kPrefix) ||
      ("/" + location.prefix).find("//") != std::string::npos) {
    return wrong(url, "has a prefix with other characters than letters, digits and ._-/");
  }
  if (!made_of(location.region, "-") || location.region.empty()) {
    return wrong(url, "has a malformed region");
  }
  if (endpoint.empty()) {
    location.host = "s3." + location.region + ".amazonaws.com";
    // A name with dots is under no wildcard certificate.
    if (bucket.find('.') == std::string::npos) {
      location.host.insert(0, bucket + ".");
    } else {
      location.path_root = "/" + bucket;
    }
    location.base_url = "https://" + location.host;
    return location;
  }
  const auto server = net::parse_url(endpoint);
  if (!server || !server->socket_path.empty()) {
    return wrong(url, "has an endpoint that is no http:// or https:// URL");
  }
  if (server->target.find_first_not_of('/') != std::string::npos ||
      endpoint.find('#') != std::string::npos) {
    return wrong(url, "has an endpoint that is not just scheme, host and port");
  }
  location.host = server->host_header;
  location.base_url = (server->tls ? "https://" : "http://") + location.host;
  location.path_root = "/" + bucket;
  return location;
}

}  // namespace nimbus::blob
