#include "blob/sigv4.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/hash.h"
#include "base/text.h"

namespace nimbus::blob {
namespace {

std::string encode_path(std::string_view path) {
  std::string out;
  for (const std::string_view segment : split(path.substr(1), '/')) {
    out += '/';
    out += net::percent_encode(segment);
  }
  return out;
}

std::string encode_query(const S3Request& request) {
  std::vector<std::string> fields;
  for (const auto& [name, value] : request.query) {
    fields.push_back(net::percent_encode(name) + "=" + net::percent_encode(value));
  }
  std::sort(fields.begin(), fields.end());
  return join(fields, "&");
}

// 20261125T031500Z
std::string amz_date(Time now) {
  std::string text = to_rfc3339(std::chrono::floor<std::chrono::seconds>(now));
  std::erase(text, '-');
  std::erase(text, ':');
  return text;
}

}  // namespace

std::string encode_target(const S3Request& request) {
  const std::string query = encode_query(request);
  return encode_path(request.path) + (query.empty() ? "" : "?" + query);
}

net::Headers sign(const S3Request& request, const AwsCredentials& credentials,
                  std::string_view region, Time now) {
  const std::string date = amz_date(now);
  auto fields = request.signed_headers;
  fields.emplace_back("host", request.host);
  fields.emplace_back("x-amz-date", date);
  fields.emplace_back("x-amz-content-sha256", request.payload_sha256);
  if (!credentials.session_token.empty()) {
    fields.emplace_back("x-amz-security-token", credentials.session_token.reveal());
  }
  std::sort(fields.begin(), fields.end());
  std::string canonical_headers;
  std::string names;
  for (const auto& [name, value] : fields) {
    canonical_headers += name + ":" + std::string(trim(value)) + "\n";
    names += (names.empty() ? "" : ";") + name;
  }
  const std::string canonical = request.method + "\n" + encode_path(request.path) + "\n" +
                                encode_query(request) + "\n" + canonical_headers + "\n" + names +
                                "\n" + request.payload_sha256;
  const std::string scope = date.substr(0, 8) + "/" + std::string(region) + "/s3/aws4_request";
  const std::string to_sign =
      "AWS4-HMAC-SHA256\n" + date + "\n" + scope + "\n" + to_hex(sha256(canonical));
  std::string key = hmac_sha256("AWS4" + credentials.secret_access_key.reveal(), date.substr(0, 8));
  key = hmac_sha256(key, region);
  key = hmac_sha256(key, "s3");
  key = hmac_sha256(key, "aws4_request");
  net::Headers headers;
  for (const auto& [name, value] : fields) headers.add(name, value);
  headers.add("authorization", "AWS4-HMAC-SHA256 Credential=" + credentials.access_key_id + "/" +
                                   scope + ", SignedHeaders=" + names +
                                   ", Signature=" + to_hex(hmac_sha256(key, to_sign)));
  return headers;
}

}  // namespace nimbus::blob
