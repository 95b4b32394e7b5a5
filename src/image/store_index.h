// The store's table of contents: its index.json, which is a plain OCI image index whose entries
// carry notes of ours as annotations. Replaced as a whole by rename, so readers need no lock.
// Threads: any to read; writers hold the store's lock.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "image/manifest.h"

namespace nimbus::image {

struct StoredImage {
  Descriptor manifest;
  std::string name;           // "" once another image has taken its name
  std::string source;         // archive that `ensure` took it from; "" after an explicit import
  std::string source_digest;  // of the archive's own entry for it
  std::optional<Time> replaced_at;
};

class StoreIndex {
 public:
  static Result<StoreIndex> read(const std::string& path);
  Result<void> write(const std::string& path) const;

  // The image of a reference: by digest when it has one, else by name.
  const StoredImage* find(const Reference& reference) const;
  const std::vector<StoredImage>& images() const { return images_; }

  // Adds an image under its name; the one that had the name stays for a while without it.
  void put(StoredImage image, Time now);
  bool remove(const Reference& reference);
  void forget_replaced_before(Time time);

 private:
  std::vector<StoredImage> images_;
};

}  // namespace nimbus::image
