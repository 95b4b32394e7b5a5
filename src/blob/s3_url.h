// `s3://BUCKET[/PREFIX][?endpoint=URL&region=R]`. With an endpoint the bucket is the path's first
// segment; without one it is AWS's, and the bucket is in the host's name. Threads: pure functions.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace nimbus::blob {

struct S3Location {
  std::string base_url;   // scheme and authority
  std::string host;       // as it goes into Host
  std::string path_root;  // "" or "/BUCKET"
  std::string prefix;     // "" or "some/folder/"
  std::string region;
};

// bad_request: says what is wrong.
Result<S3Location> parse_s3_url(std::string_view text);

}  // namespace nimbus::blob
