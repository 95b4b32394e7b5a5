// The documents of an OCI image, read strictly: image index, manifest and config, as the OCI image
// specification 1.1 and Docker's schema 2 write them. Pure functions over untrusted bytes: every
// size and count is bounded here, unknown fields are ignored, and a digest is SHA-256 or refused.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace nimbus::image {

constexpr size_t kDocumentBytesMax = 4 << 20;  // an index, a manifest or a config
constexpr size_t kIndexEntriesMax = 512;
constexpr size_t kLayersMax = 128;
constexpr int64_t kBlobBytesMax = 16LL << 30;

constexpr std::string_view kIndexMediaType = "application/vnd.oci.image.index.v1+json";
constexpr std::string_view kManifestMediaType = "application/vnd.oci.image.manifest.v1+json";
constexpr std::string_view kConfigMediaType = "application/vnd.oci.image.config.v1+json";
constexpr std::string_view kZstdLayerMediaType = "application/vnd.oci.image.layer.v1.tar+zstd";
constexpr std::string_view kRefNameAnnotation = "org.opencontainers.image.ref.name";

// Names a blob: what it is, its digest ("sha256:" and 64 lower-case hexadecimal digits), its
// length.
struct Descriptor {
  std::string media_type;
  std::string digest;
  int64_t size = 0;
  std::string os;            // index entries only, with architecture; "" when not said
  std::string architecture;  // "amd64", "arm64"
  std::map<std::string, std::string> annotations;
};

struct Manifest {
  Descriptor config;
  std::vector<Descriptor> layers;  // lowest first
};

enum class Compression { none, gzip, zstd };

// What a config says beyond how to run the image (store.h ImageConfig).
struct ConfigDocument {
  std::string os;
  std::string architecture;
  std::string created;
  std::vector<std::string> env;
  std::string user;
  std::string working_dir;
  std::vector<std::string> entrypoint;
  std::vector<std::string> command;
  std::vector<std::string> diff_ids;
};

// A name, a digest, or both: what people write for an image.
struct Reference {
  std::string name;    // "nimbus/base" or "nimbus/base:2"; `:latest` is dropped; may be ""
  std::string digest;  // may be ""
};

// bad_request on anything that is not a well-formed document of its kind.
Result<std::vector<Descriptor>> parse_index(std::string_view json);
Result<Manifest> parse_manifest(std::string_view json);
Result<ConfigDocument> parse_config(std::string_view json);
Result<Reference> parse_reference(std::string_view text);

Result<void> check_digest(std::string_view digest);
std::string digest_of(std::string_view bytes);         // "sha256:…"
std::string_view digest_hex(std::string_view digest);  // the part after "sha256:"

bool is_index(const Descriptor& descriptor);
bool is_manifest(const Descriptor& descriptor);
// How a layer is compressed; bad_request for a media type that is not an image layer.
Result<Compression> layer_compression(const Descriptor& layer);
// "amd64" or "arm64": what this program runs on.
std::string_view machine_architecture();

std::string to_json(const std::vector<Descriptor>& index_entries);  // an image index
std::string to_json(const Manifest& manifest);

}  // namespace nimbus::image
