#include "image/manifest.h"

#include <doctest/doctest.h>

#include <string>

using namespace nimbus;
using namespace nimbus::image;

namespace {

const std::string kDigest = "sha256:" + std::string(64, 'a');

std::string descriptor(std::string_view media_type, const std::string& digest,
                       std::string_view size) {
  return R"({"mediaType":")" + std::string(media_type) + R"(","digest":")" + digest +
         R"(","size":)" + std::string(size) + "}";
}

std::string manifest_of(const std::string& layers) {
  return R"({"schemaVersion":2,"config":)" + descriptor(kConfigMediaType, kDigest, "2") +
         R"(,"layers":[)" + layers + "]}";
}

}  // namespace

TEST_CASE("a manifest written by us is read back as it was") {
  Manifest manifest;
  manifest.config = {std::string(kConfigMediaType), kDigest, 2, "", "", {}};
  manifest.layers.push_back({std::string(kZstdLayerMediaType), kDigest, 9, "", "", {{"k", "v"}}});
  const auto read = parse_manifest(to_json(manifest));
  REQUIRE(read);
  CHECK(read->config.digest == kDigest);
  REQUIRE(read->layers.size() == 1);
  CHECK(read->layers[0].size == 9);
  CHECK(read->layers[0].annotations.at("k") == "v");
}

TEST_CASE("a digest that is not SHA-256 in lower case is refused") {
  CHECK(check_digest(kDigest));
  for (const std::string& wrong :
       {std::string("sha256:"), "sha256:" + std::string(64, 'A'), "sha256:" + std::string(63, 'a'),
        "sha256:" + std::string(65, 'a'), "md5:" + std::string(64, 'a'), std::string(64, 'a'),
        "sha256:../" + std::string(61, 'a')})
    CHECK_FALSE(check_digest(wrong));
}

TEST_CASE("a manifest with a wrong size, digest, layer type or no config is refused") {
  CHECK(parse_manifest(manifest_of(descriptor(kZstdLayerMediaType, kDigest, "1"))));
  CHECK_FALSE(parse_manifest(manifest_of(descriptor(kZstdLayerMediaType, kDigest, "-1"))));
  CHECK_FALSE(
      parse_manifest(manifest_of(descriptor(kZstdLayerMediaType, kDigest, "99999999999999"))));
  CHECK_FALSE(parse_manifest(manifest_of(descriptor(kZstdLayerMediaType, "sha256:x", "1"))));
  CHECK_FALSE(parse_manifest(manifest_of(descriptor("text/plain", kDigest, "1"))));
  CHECK_FALSE(parse_manifest(manifest_of("7")));
  CHECK_FALSE(parse_manifest(R"({"schemaVersion":2,"layers":[]})"));
  CHECK_FALSE(parse_manifest(R"({"schemaVersion":1})"));
  CHECK_FALSE(parse_manifest("[]"));
  CHECK_FALSE(parse_manifest(""));
}

TEST_CASE("documents and lists beyond their limits are refused") {
  CHECK(parse_manifest(std::string(kDocumentBytesMax + 1, ' ')).error().code == Code::too_large);
  std::string layers;
  for (size_t i = 0; i <= kLayersMax; ++i)
    layers += (i == 0 ? "" : ",") + descriptor(kZstdLayerMediaType, kDigest, "1");
  CHECK(parse_manifest(manifest_of(layers)).error().code == Code::too_large);
}

TEST_CASE("a config tells how to run the image; an ill-formed variable is refused") {
  const auto config = parse_config(
      R"({"os":"linux","architecture":"amd64","config":{"Env":["A=1"],"User":"u","WorkingDir":"/w","Entrypoint":["e"],"Cmd":null}})");
  REQUIRE(config);
  CHECK(config->env == std::vector<std::string>{"A=1"});
  CHECK(config->user == "u");
  CHECK(config->entrypoint == std::vector<std::string>{"e"});
  CHECK(config->command.empty());
  CHECK_FALSE(parse_config(R"({"config":{"Env":["NOVALUE"]}})"));
  CHECK_FALSE(parse_config(R"({"config":{"Env":["=x"]}})"));
}

TEST_CASE("references name an image, a digest or both") {
  CHECK(parse_reference("nimbus/base")->name == "nimbus/base");
  CHECK(parse_reference("nimbus/base:latest")->name == "nimbus/base");
  CHECK(parse_reference("nimbus/base:2")->name == "nimbus/base:2");
  CHECK(parse_reference(kDigest)->digest == kDigest);
  CHECK(parse_reference("nimbus/base@" + kDigest)->name == "nimbus/base");
  for (const std::string& wrong :
       {std::string(), std::string("a b"), std::string("a@"), std::string("a@sha256:1"),
        std::string(":latest"), std::string(300, 'a'), std::string("a\n")})
    CHECK_FALSE(parse_reference(wrong));
}
