// A layer of an image: a tar archive, compressed or not, read entry by entry from a stored blob and
// checked against its digest on the way.
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "image/manifest.h"
#include "image/tree.h"

struct archive;

namespace nimbus::image {

class LayerReader {
 public:
  // `path` is the blob's file. Unpacking stops with too_large at `bytes_max`.
  static Result<LayerReader> open(const std::string& path, const Descriptor& layer);
  ~LayerReader();
  LayerReader(LayerReader&&) noexcept;
  LayerReader& operator=(LayerReader&&) = delete;

  struct Next {
    std::string path;
    Entry entry;  // layer is left for the caller; position counts from 0
  };
  // The next entry, or nullopt after the last, when the whole blob was read and has its digest.
  // corrupt: the archive is damaged, or the blob is not what its digest says.
  Result<std::optional<Next>> next();

  // Contents of the entry just returned, in pieces, "" at the end.
  Result<std::string_view> read();

 private:
  struct State;
  explicit LayerReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace nimbus::image
