// Makes the squashfs file of an image from its layers. The layers are read twice: once to learn
// what the merged tree is, once to stream the contents that survived into sqfstar as one tar
// archive, with owners, modes, hard links and capabilities kept. Needs no privilege and no space
// but the result's.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "image/manifest.h"
#include "image/tree.h"

namespace nimbus::image {

struct LayerFile {
  Descriptor layer;
  std::string path;  // of the blob
};

// The layers' merged tree; every layer was read whole and has its digest.
Result<Tree> merge_layers(const std::vector<LayerFile>& layers);

// Writes `output`, which must not exist. lz4, because guests read it again and again and may run in
// emulation. Two files made from the same layers differ in the root directory's time alone: sqfstar
// takes no other than the current one.
Result<void> write_squashfs(const std::vector<LayerFile>& layers, const std::string& output);

}  // namespace nimbus::image
