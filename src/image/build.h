// Builds an image from its recipe (recipe.h): every recipe makes one layer, and an image is its
// base's layers with its own on top. Debian packages come through mmdebstrap, npm packages through
// `npm ci`; no container engine is involved. A layer is made again only when its recipe, or a file
// it names, has changed.
//
// Threads: one build at a time per output directory (a lock sees to it). Calls block, for a minute
// or more when packages are fetched.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace nimbus::image {

struct BuildOptions {
  std::string output = "build/images";  // archives; `cache/` in it keeps layers and npm's downloads
  std::string mirror;                   // Debian's, as mmdebstrap takes it; "" is its default
  bool fresh = false;                   // make every layer again: newer packages of Debian
  // What is being done now, for people; may be empty.
  std::function<void(std::string_view step)> on_step;
  // Every line of the programs that do it, for a log; may be empty.
  std::function<void(std::string_view line)> on_line;
};

struct BuiltImage {
  std::string name;     // "nimbus/base"
  std::string archive;  // output/base.oci.tar
  std::string digest;   // of the manifest
  int64_t size_bytes = 0;
  bool changed = false;  // false: the archive was there already and is the same
};

// Builds the recipe in `folder`, and the recipes it stands on. forbidden: a Debian part needs root;
// not_found: a program or file is missing; internal: a program failed, with its last words.
Result<BuiltImage> build_image(const std::string& folder, const BuildOptions& options);

}  // namespace nimbus::image
