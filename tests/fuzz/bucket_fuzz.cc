// What a bucket answers and what is written about one: S3's XML, its URL, credentials files, names
// of blobs. Text that is taken out of XML is a part of it; a URL that is accepted can be sent.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "blob/aws_credentials.h"
#include "blob/digest.h"
#include "blob/s3_url.h"
#include "blob/s3_xml.h"
#include "blob/sigv4.h"

using namespace nimbus;
using namespace nimbus::blob;

namespace {

void require(bool good) {
  if (!good) std::abort();
}

void check_xml(std::string_view xml) {
  for (const std::string_view tag : {"Contents", "Key", "UploadId", "NextContinuationToken"}) {
    for (const std::string_view element : xml_elements(xml, tag)) {
      require(element.data() >= xml.data());
      require(element.data() + element.size() <= xml.data() + xml.size());
      (void)xml_text(element, "Size");
    }
    require(xml_text(xml, tag).size() <= xml.size());
  }
}

void check_target(std::string_view text) {
  S3Request request;
  request.method = "GET";
  request.host = "bucket.example";
  request.path = "/" + std::string(text);
  request.query = {{"prefix", std::string(text)}};
  const std::string target = encode_target(request);
  require(target.starts_with('/') && target.find_first_of("\r\n \t") == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  check_xml(input);
  check_target(input);
  if (const auto location = parse_s3_url(input)) {
    require(!location->host.empty() && !location->region.empty());
    for (const std::string& part : {location->host, location->base_url, location->region}) {
      require(part.find_first_of(std::string_view("\r\n \0", 4)) == std::string::npos);
    }
  }
  if (const auto digest = parse_digest(input)) require(to_string(*digest) == input);
  if (const auto keys = parse_aws_credentials(input, "default")) {
    require(!keys->access_key_id.empty());
  }
  return 0;
}
