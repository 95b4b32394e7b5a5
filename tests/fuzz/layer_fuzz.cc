// Layers and archives of images as files: the first byte chooses the compression, the rest are the
// tar's bytes. Entries of a layer go into the merged tree, as at an import.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "image/archive.h"
#include "image/layer.h"

using namespace nimbus;
using namespace nimbus::image;

namespace {

constexpr size_t kUnpackedBytesMax = size_t{4} << 20;  // a bomb is cut short here

void read_layer(const std::string& path, const Descriptor& layer) {
  auto reader = LayerReader::open(path, layer);
  if (!reader) return;
  Tree tree;
  size_t unpacked = 0;
  for (;;) {
    auto next = reader->next();
    if (!next || !*next) return;
    (void)tree.apply((*next)->path, std::move((*next)->entry));
    for (;;) {
      const auto piece = reader->read();
      if (!piece || piece->empty()) break;
      unpacked += piece->size();
      if (unpacked > kUnpackedBytesMax) return;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const int file = ::memfd_create("layer", MFD_CLOEXEC);
  if (file < 0 || ::write(file, bytes.data(), bytes.size()) < 0) std::abort();
  const std::string path = "/proc/self/fd/" + std::to_string(file);
  Descriptor layer;
  layer.media_type = "application/vnd.oci.image.layer.v1.tar";
  if (data[0] % 3 == 1) layer.media_type += "+gzip";
  if (data[0] % 3 == 2) layer.media_type += "+zstd";
  layer.digest = digest_of(bytes);
  layer.size = static_cast<int64_t>(bytes.size());
  read_layer(path, layer);
  (void)read_archive_index(path);
  ::close(file);
  return 0;
}
