// AWS Signature Version 4 for S3, in the Authorization header (AWS General Reference, "Create a
// signed AWS API request"). Threads: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "blob/aws_credentials.h"
#include "net/http.h"

namespace nimbus::blob {

// SHA-256 of nothing, in hexadecimal.
constexpr std::string_view kEmptyPayload =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

struct S3Request {
  std::string method;
  std::string host;
  std::string path;                                                 // decoded, begins with `/`
  std::vector<std::pair<std::string, std::string>> query;           // decoded
  std::vector<std::pair<std::string, std::string>> signed_headers;  // lower-case names
  std::string payload_sha256{kEmptyPayload};                        // hexadecimal
};

// The path and query as they go into the request line.
std::string encode_target(const S3Request& request);
// Host, x-amz-date, x-amz-content-sha256, the token's and the request's own headers, Authorization.
net::Headers sign(const S3Request& request, const AwsCredentials& credentials,
                  std::string_view region, Time now);

}  // namespace nimbus::blob
