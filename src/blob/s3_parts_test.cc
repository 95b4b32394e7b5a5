// The parts of the S3 client that need no server.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "base/encoding.h"
#include "base/fake_clock.h"
#include "base/hash.h"
#include "blob/blob_fixture.h"
#include "blob/open_store.h"
#include "blob/s3_url.h"
#include "blob/s3_xml.h"
#include "blob/sigv4.h"

namespace nimbus::blob {
namespace {

// The examples of the Amazon S3 API reference, "Authenticating Requests: Using the Authorization
// Header".
const AwsCredentials kExample{"AKIAIOSFODNN7EXAMPLE",
                              Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), Secret()};

std::string signature_of(const S3Request& request) {
  const Time now = *parse_rfc3339("2013-05-24T00:00:00Z");
  const net::Headers headers = sign(request, kExample, "us-east-1", now);
  const std::string authorization(*headers.find("authorization"));
  return authorization.substr(authorization.rfind('=') + 1);
}

S3Request example(const std::string& method, const std::string& path) {
  return {method, "examplebucket.s3.amazonaws.com", path, {}, {}, std::string(kEmptyPayload)};
}

}  // namespace

TEST_CASE("requests are signed as the reference's examples are") {
  S3Request get = example("GET", "/test.txt");
  get.signed_headers = {{"range", "bytes=0-9"}};
  CHECK(signature_of(get) == "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");

  S3Request put = example("PUT", "/test$file.text");
  put.signed_headers = {{"date", "Fri, 24 May 2013 00:00:00 GMT"},
                        {"x-amz-storage-class", "REDUCED_REDUNDANCY"}};
  put.payload_sha256 = to_hex(sha256("Welcome to Amazon S3."));
  CHECK(signature_of(put) == "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");

  S3Request lifecycle = example("GET", "/");
  lifecycle.query = {{"lifecycle", ""}};
  CHECK(signature_of(lifecycle) ==
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");

  S3Request list = example("GET", "/");
  list.query = {{"prefix", "J"}, {"max-keys", "2"}};
  CHECK(signature_of(list) == "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

TEST_CASE("a bucket's URL is read, and a wrong one refused with what is right") {
  const auto aws = parse_s3_url("s3://builds/some/folder/?region=eu-central-1");
  REQUIRE(aws);
  CHECK(aws->base_url == "https://builds.s3.eu-central-1.amazonaws.com");
  CHECK(aws->prefix == "some/folder/");
  CHECK(aws->path_root.empty());
  const auto dotted = parse_s3_url("s3://builds.example?region=eu-central-1");
  REQUIRE(dotted);
  CHECK(dotted->base_url == "https://s3.eu-central-1.amazonaws.com");
  CHECK(dotted->path_root == "/builds.example");
  const auto own = parse_s3_url("s3://builds?endpoint=http://127.0.0.1:9000&region=x");
  REQUIRE(own);
  CHECK(own->base_url == "http://127.0.0.1:9000");
  CHECK(own->host == "127.0.0.1:9000");
  CHECK(own->path_root == "/builds");
  CHECK(own->prefix.empty());
  for (const char* wrong :
       {"s3:builds", "s3://", "s3://ab", "s3://Builds", "s3://builds/a b", "s3://builds/a//b",
        "s3://builds?endpoint=ftp://x", "s3://builds?endpoint=http://x/y", "s3://builds?zone=a",
        "s3://builds?region=EU", "s3://builds?endpoint=http://a b",
        "s3://builds?endpoint=http://x:0", "s3://builds?endpoint=http://user@x",
        "s3://builds?endpoint=http://x#y", "s3://builds?endpoint=http://x\r\nHost:y",
        "s3://builds?endpoint=https://"}) {
    const auto refused = parse_s3_url(wrong);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::bad_request);
  }
}

TEST_CASE("a profile of a credentials file is found") {
  constexpr std::string_view kFile =
      "# keys\n[default]\naws_access_key_id = A\naws_secret_access_key=b=c\n\n"
      "[ci]\naws_access_key_id=C\naws_secret_access_key=D\naws_session_token=E\n[half]\n"
      "aws_access_key_id=F\n";
  const auto first = parse_aws_credentials(kFile, "default");
  REQUIRE(first);
  CHECK(first->access_key_id == "A");
  CHECK(first->secret_access_key.reveal() == "b=c");
  CHECK(first->session_token.empty());
  CHECK(parse_aws_credentials(kFile, "ci")->session_token.reveal() == "E");
  CHECK(parse_aws_credentials(kFile, "half").error().code == Code::not_found);
  CHECK(parse_aws_credentials(kFile, "none").error().code == Code::not_found);
}

TEST_CASE("elements of an answer are found and unescaped") {
  constexpr std::string_view kXml =
      "<R><Contents><Key>a</Key><ETag>&quot;1&amp;2&quot;</ETag></Contents>"
      "<Contents><Key>b</Key></Contents><Open></R>";
  CHECK(xml_elements(kXml, "Contents").size() == 2);
  CHECK(xml_text(xml_elements(kXml, "Contents")[1], "Key") == "b");
  CHECK(xml_text(kXml, "ETag") == "\"1&2\"");
  CHECK(xml_text(kXml, "Open").empty());
  CHECK(xml_text("", "Key").empty());
}

TEST_CASE("a store's URL of another kind is refused") {
  net::Loop loop;
  for (const char* url : {"gs://x", "file:relative", "s3://B"}) {
    OpenStoreOptions options;
    options.url = url;
    const auto refused = open_store(loop, options);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::bad_request);
  }
}

}  // namespace nimbus::blob
