#include "registry/manifest_document.h"

#include <doctest/doctest.h>

using namespace nimbus;
using namespace nimbus::registry;

namespace {

const std::string kA = "sha256:" + std::string(64, 'a');
const std::string kB = "sha256:" + std::string(64, 'b');
const std::string kC = "sha512:" + std::string(128, 'c');

std::string descriptor(std::string_view type, std::string_view digest) {
  return R"({"mediaType":")" + std::string(type) + R"(","digest":")" + std::string(digest) +
         R"(","size":3})";
}

std::string image(std::string_view more = "") {
  return R"({"schemaVersion":2,"mediaType":")" + std::string(kOciManifest) + R"(","config":)" +
         descriptor("application/vnd.oci.image.config.v1+json", kA) + R"(,"layers":[)" +
         descriptor("application/vnd.oci.image.layer.v1.tar+gzip", kB) + "," +
         descriptor("application/vnd.oci.image.layer.nondistributable.v1.tar", kC) + "]" +
         std::string(more) + "}";
}

}  // namespace

TEST_CASE("an image refers to its config and its layers, apart from those never pushed") {
  const auto document = parse_manifest(image(), kOciManifest);
  REQUIRE(document);
  CHECK_EQ(document->blobs, std::vector<std::string>{kA, kB});
  CHECK_EQ(document->artifact_type, "application/vnd.oci.image.config.v1+json");
  CHECK(document->subject.empty());
}

TEST_CASE("an artifact names its type, its subject and its annotations") {
  const auto document =
      parse_manifest(image(R"(,"artifactType":"text/x","annotations":{"a":"b"},"subject":)" +
                           descriptor("text/y", kC) + R"(,"org.example.custom":[1])"),
                     std::string(kOciManifest) + "; charset=utf-8");
  REQUIRE(document);
  CHECK_EQ(document->artifact_type, "text/x");
  CHECK_EQ(document->subject, kC);
  CHECK_EQ(document->annotations, R"({"a":"b"})");
}

TEST_CASE("an index refers to its children") {
  const std::string index = R"({"schemaVersion":2,"manifests":[)" + descriptor(kOciManifest, kA) +
                            "," + descriptor(kOciManifest, kA) + "]}";
  const auto document = parse_manifest(index, kOciIndex);
  REQUIRE(document);
  CHECK_EQ(document->children, std::vector<std::string>{kA});
  CHECK(document->blobs.empty());
}

TEST_CASE("what is no manifest, or two kinds at once, is refused") {
  CHECK(!parse_manifest("", kOciManifest));
  CHECK(!parse_manifest("{}", kOciManifest));
  CHECK(!parse_manifest("[]", kOciManifest));
  CHECK(!parse_manifest(image(), kOciIndex));
  CHECK(!parse_manifest(image(), "text/plain"));
  CHECK(!parse_manifest(image(R"(,"manifests":[])"), kOciManifest));
  CHECK(!parse_manifest(R"({"schemaVersion":1})", kOciManifest));
  CHECK(!parse_manifest(R"({"schemaVersion":2,"manifests":[{"mediaType":"a","digest":"sha256:x",)"
                        R"("size":1}]})",
                        kOciIndex));
  CHECK(!parse_manifest(image(R"(,"annotations":{"a":1})"), kOciManifest));
}

TEST_CASE("a manifest over 4 MiB is too large") {
  const auto refused = parse_manifest(std::string(kManifestBytesMax + 1, ' '), kOciManifest);
  REQUIRE(!refused);
  CHECK(refused.error().code == Code::too_large);
}
