// What people write to name an image: `nimbus/base`, `registry.example/acme/tool:2`,
// `acme/tool@sha256:…`, or a digest alone. The grammar is that of OCI references
// (distribution-spec, "Pulling manifests"), so a name that Nimbus takes is one that every registry
// and builder takes too.
//
// Threads: pure functions.
// Not here: which images there are (image/store.h).
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace nimbus::model {

constexpr size_t kImageNameBytesMax = 228;
constexpr size_t kImageTagBytesMax = 128;

struct ImageReference {
  std::string
      name;  // registry included, if any: "registry.example/acme/tool"; "" for a digest alone
  std::string tag;     // "" when not said
  std::string digest;  // "sha256:" and 64 lower-case hexadecimal digits; "" when not said
};

// bad_request says which part is wrong and what is right.
Result<ImageReference> parse_image_reference(std::string_view text);

}  // namespace nimbus::model
