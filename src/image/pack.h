// Turns folders into what an OCI image is made of: a folder into a layer, layers into an archive.
// The same input gives the same bytes: names are sorted, times fixed, owners said by the caller.
// Threads: any; calls block on the disk.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "image/manifest.h"
#include "image/store.h"

namespace nimbus::image {

struct PackedLayer {
  std::string path;       // the file with the compressed bytes
  Descriptor descriptor;  // tar+zstd
  std::string diff_id;    // digest of the tar before compression
};

struct PackOptions {
  int64_t time = 0;  // every entry's modification time, seconds since the epoch
  // Owners as on the disk; otherwise root's, but for the paths (and what is below) named here.
  bool keep_owners = false;
  std::map<std::string, uint32_t> owners;  // "/home/runner" to user and group id
};

// Packs what is in `folder` into the new file `output`. Device nodes and sockets are left out.
Result<PackedLayer> pack_layer(const std::string& folder, const std::string& output,
                               const PackOptions& options);

struct ArchiveContents {
  std::string name;
  std::vector<PackedLayer> layers;  // lowest first
  ImageConfig config;
  int64_t time = 0;
};

// The OCI archive's manifest and config, which decide its digest.
struct ArchiveDocuments {
  std::string config;
  std::string manifest;
  std::string index;
  std::string manifest_digest;
};
ArchiveDocuments make_documents(const ArchiveContents& contents);

// Writes the archive to `path`, whole or not at all.
Result<void> write_archive(const ArchiveContents& contents, const std::string& path);

}  // namespace nimbus::image
