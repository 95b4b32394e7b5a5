// What a registry's client, or an upstream it mirrors, can say: paths, names, tags, chunk ranges,
// manifests, scopes, tokens and challenges. Whatever is accepted keeps the grammar's promises.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "registry/grant.h"
#include "registry/manifest_document.h"
#include "registry/names.h"
#include "registry/options.h"
#include "registry/upstream.h"

using namespace nimbus;
using namespace nimbus::registry;

namespace {

void check_names(std::string_view text) {
  if (check_repository(text)) {
    const std::string framed = "/" + std::string(text) + "/";
    const bool climbs = framed.find("/../") != std::string::npos ||
                        framed.find("//") != std::string::npos || text.size() > kRepositoryBytesMax;
    if (climbs || org_of(text).empty() || name_in_org(text).empty()) std::abort();
  }
  if (is_tag(text) && text.find_first_of("/:\\") != std::string_view::npos) std::abort();
  if (const auto place = parse_place(text); place && place->resource != Resource::base) {
    if (place->repository.empty()) std::abort();
  }
  if (const auto chunk = parse_chunk_range(text); chunk && chunk->size() < 1) std::abort();
  (void)matches_pattern(text, "a*b*");
}

void check_documents(std::string_view text) {
  for (const std::string_view type : {kOciManifest, kOciIndex, kDockerManifest, kDockerList}) {
    const auto document = parse_manifest(text, type);
    if (!document) continue;
    // Never both kinds at once.
    if (!document->blobs.empty() && !document->children.empty()) std::abort();
  }
  for (const Grant& grant : parse_scopes({std::string(text)})) {
    if (!check_repository(grant.repository)) std::abort();
  }
  (void)parse_challenge(text);
  static const TokenMint mint{Secret("0123456789abcdef0123456789abcdef")};
  if (mint.read(text, from_us(0))) std::abort();  // nobody guesses a signature
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  check_names(input);
  check_documents(input);
  return 0;
}
