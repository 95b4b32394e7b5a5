// Fills a folder with what a recipe says, ready to be packed as a layer.
// Threads: one at a time per folder.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "base/result.h"
#include "image/recipe.h"

namespace nimbus::image {

struct StageOptions {
  std::string work;       // an empty folder; the tree is made in it
  std::string npm_cache;  // kept between builds
  std::string mirror;
  int64_t time = 0;
  std::function<void(std::string_view)> on_line;
  std::function<void(std::string_view)> on_step;
};

// The path of the finished tree.
Result<std::string> stage_tree(const Recipe& recipe, const StageOptions& options);

// Adds to `hash` the name, mode and contents of every file that the recipe takes from this machine.
Result<void> hash_sources(const Recipe& recipe, Sha256& hash);

}  // namespace nimbus::image
