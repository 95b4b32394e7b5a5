// The store of images on one host: OCI images known by the digest of their manifest, found by name,
// each turned once into a read-only squashfs file that every microVM on the host shares.
//
// The directory is itself an OCI image layout (oci-layout, index.json, blobs/sha256/…), so other
// tools can read it; beside it lie `rootfs/<digest>.squashfs`, `locks/` and `tmp/`. Nothing enters
// it unchecked: every blob is hashed while it is copied and must be what its descriptor says, sizes
// and counts are bounded, and a layer is never unpacked onto the disk: its entries are merged in
// memory and streamed into the file system image, so no path, link or device node in it can reach
// the host. Files become visible by rename; what a crash leaves in tmp/ is removed by the next
// `open`.
//
// Threads: any, and several processes may share one directory (locks are flock, and end with their
// process). Every call blocks on the disk: on a loop, run it through Loop::blocking.
// Not here: how images are made (build.h), who may use them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace nimbus::image {

// What an image says about how to run it.
struct ImageConfig {
  std::vector<std::string> env;         // "NAME=value"
  std::string user;                     // "" is root
  std::string working_dir;              // "" is /
  std::vector<std::string> entrypoint;  // with `command` after it: what runs by default
  std::vector<std::string> command;
};

struct Image {
  std::string name;        // "nimbus/base"; "" when only its digest is known
  std::string digest;      // of the manifest: "sha256:…"; decides the root file system's bytes
  int64_t size_bytes = 0;  // layers as stored, compressed
  int layers = 0;
  std::string created;  // RFC 3339, as the image says, or ""
  std::string source;   // the archive `ensure` took it from; "" after an explicit import
  ImageConfig config;
};

struct RootFilesystem {
  std::string path;    // a squashfs file: read-only, shared, never changed once it is there
  std::string digest;  // the image's
  int64_t size_bytes = 0;
};

// An image that lies in an archive directory, imported or not.
struct ArchivedName {
  std::string name;
  std::string digest;  // of its entry in the archive
  std::string path;
};

struct StoreOptions {
  std::string directory;              // made when absent, mode 0700
  std::vector<std::string> archives;  // directories where `ensure` looks for *.oci.tar
};

class Store {
 public:
  static Result<std::unique_ptr<Store>> open(StoreOptions options);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // Takes every image of an OCI archive (a tar) or OCI layout directory that fits this machine and
  // returns them. `name` overrides the archive's own; needed when it has none, and then the archive
  // must hold one image. bad_request: not an OCI image; corrupt: bytes are not what a digest says;
  // too_large: over a limit. On failure the store is as it was.
  Result<std::vector<Image>> import_archive(const std::string& path, const std::string& name = "");

  // The image that `ref` means (`name`, `name:latest`, `name@sha256:…` or `sha256:…`), imported
  // first from the archive directories when it is missing there or was taken from an archive that
  // has been rebuilt since. An explicitly imported image is never replaced. not_found when nobody
  // has it.
  Result<Image> ensure(const std::string& ref);

  Result<std::optional<Image>> find(const std::string& ref);
  Result<Image> read(const std::string& ref);  // not_found names what there is
  Result<std::vector<Image>> list();           // by name
  std::vector<ArchivedName> archived();  // what `ensure` could import; unreadable ones left out

  // The image's squashfs, built when this host has not done so yet; concurrent calls build once.
  // Takes seconds the first time for an image of hundreds of megabytes.
  Result<RootFilesystem> root_filesystem(const std::string& ref);

  // Reads every byte the image consists of, and checks it against its digest. corrupt names the
  // blob.
  Result<void> verify(const std::string& ref);

  // Forgets a name, and deletes blobs and file systems no other name needs. Running VMs keep theirs
  // (open files stay).
  Result<void> remove(const std::string& ref);

  const StoreOptions& options() const;

 private:
  struct State;
  explicit Store(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace nimbus::image
