// A manifest as the registry needs to know it: what it refers to, and what it says about itself to
// those who look for referrers. The bytes are stored as they came; unknown fields, unknown config
// and layer types are none of the registry's business.
//
// Untrusted bytes: size, depth and counts are bounded, digests are checked, and a document that
// could be read as two kinds at once (layers and manifests) is refused.
//
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace nimbus::registry {

constexpr size_t kManifestBytesMax = size_t{4} << 20;
constexpr size_t kManifestEntriesMax = 4'096;  // layers, or an index's children

constexpr std::string_view kOciManifest = "application/vnd.oci.image.manifest.v1+json";
constexpr std::string_view kOciIndex = "application/vnd.oci.image.index.v1+json";
constexpr std::string_view kDockerManifest = "application/vnd.docker.distribution.manifest.v2+json";
constexpr std::string_view kDockerList =
    "application/vnd.docker.distribution.manifest.list.v2+json";

struct ManifestDocument {
  std::string media_type;
  std::string artifact_type;          // its own, else its config's media type; may be ""
  std::string subject;                // digest, or ""
  std::vector<std::string> blobs;     // that must be in the repository: config and layers
  std::vector<std::string> children;  // an index's entries: manifests, or blobs of a build cache
  std::map<std::string, std::string> platforms;  // of children that name one: "linux/arm64/v8"
  int64_t content_bytes = 0;  // of what it names and is no manifest, by its own word
  std::string annotations;    // a JSON object, or ""
};

bool is_manifest_type(std::string_view media_type);

// `content_type` is the request's, possibly empty. bad_request: not a manifest of a known type, or
// one whose own mediaType says something else. too_large: over kManifestBytesMax.
Result<ManifestDocument> parse_manifest(std::string_view bytes, std::string_view content_type);

}  // namespace nimbus::registry
