// Reads an OCI archive (a tar holding an OCI image layout, as `nimbus image build`, skopeo, buildah
// and docker write it) or such a layout as a directory, and checks everything on the way.
// Threads: any; calls block on the disk.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "image/manifest.h"

namespace nimbus::image {

constexpr size_t kArchiveEntriesMax = 8192;
constexpr int64_t kArchiveBytesMax = 64LL << 30;

// An image of an archive, chosen for this machine: its manifest and all it names.
struct ArchivedImage {
  std::string name;          // from the archive's ref.name annotation; may be ""
  std::string entry_digest;  // of the archive's own entry: the manifest, or an index above it
  Descriptor manifest;
  Manifest parts;
};

// The names and manifests an archive offers, without reading its layers. bad_request when it is
// none.
Result<std::vector<Descriptor>> read_archive_index(const std::string& path);

// Copies the layout at `path` into `directory` (blobs/sha256/… and index.json). Each blob has its
// digest when this returns; one that `have` knows is left out.
Result<void> unpack_archive(const std::string& path, const std::string& directory,
                            const std::function<bool(std::string_view digest)>& have);

// The images that the layout in `directory` offers for this machine: an entry that is an index
// stands for the one manifest of it that fits. `locate` gives the file of a blob, or "" when it is
// absent.
using LocateBlob = std::function<std::string(std::string_view digest)>;
Result<std::vector<ArchivedImage>> read_layout(const std::string& directory,
                                               const LocateBlob& locate);

}  // namespace nimbus::image
