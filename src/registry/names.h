// The grammar of what stands in a registry's paths: repository names, tags, and the paths
// themselves, as OCI distribution 1.1 writes them. A repository's first component is its org.
// Untrusted text; nothing here touches a disk.
//
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace nimbus::registry {

constexpr size_t kRepositoryBytesMax = 228;  // with a registry's host it must fit 255
constexpr size_t kTagBytesMax = 128;

// Lower-case components of letters and digits, joined inside by `.`, `_`, `__` or dashes: at least
// two of them (ORG/NAME). bad_request says which rule was broken.
Result<void> check_repository(std::string_view name);
bool is_tag(std::string_view text);

std::string_view org_of(std::string_view repository);       // "acme" of "acme/app/web"
std::string_view name_in_org(std::string_view repository);  // "app/web" of it

enum class Resource { base, blob, upload_start, upload, manifest, tags, referrers };

// A path below /v2/, taken apart from its end, because components of a repository may be called
// `blobs` or `manifests` too.
struct Place {
  Resource resource = Resource::base;
  std::string repository;
  std::string reference;  // a digest, a tag or an upload's id; not yet judged
};
// `rest` is what follows "/v2/". nullopt: not a path of this protocol.
std::optional<Place> parse_place(std::string_view rest);

// A chunk's `Content-Range: FIRST-LAST`, both inclusive, without unit or total as the protocol has
// it; the RFC's form "bytes FIRST-LAST/…" is taken too.
struct ChunkRange {
  int64_t first = 0;
  int64_t last = 0;
  int64_t size() const { return last - first + 1; }
};
Result<ChunkRange> parse_chunk_range(std::string_view text);

}  // namespace nimbus::registry
