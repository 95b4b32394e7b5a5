// For tests: layers and archives made by hand, so that they can be as wrong as a test needs them.
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "image/manifest.h"

namespace nimbus::image {

// A folder of the test's own, kept when the test fails is not worth the disk: removed at the end.
class TestFolder {
 public:
  TestFolder() {
    std::string path = (std::filesystem::temp_directory_path() / "nimbus-image-XXXXXX").string();
    path_ = ::mkdtemp(path.data());
  }
  ~TestFolder() { std::filesystem::remove_all(path_); }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  std::string path(const std::string& name = "") const {
    return name.empty() ? path_ : path_ + "/" + name;
  }

 private:
  std::string path_;
};

inline void write_text(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

inline std::string read_text_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct TarEntry {
  std::string path;
  char type = 'f';            // f file, d directory, l symlink, h hard link, c device, p fifo
  std::string contents = {};  // a file's bytes, a link's target
  int mode = 0644;
  int owner = 0;
  std::string capability = {};
};

inline std::string make_tar(const std::vector<TarEntry>& entries) {
  std::string bytes(1 << 20, '\0');
  for (const TarEntry& from : entries) bytes.resize(bytes.size() + from.contents.size() + 8192);
  size_t used = 0;
  archive* tar = archive_write_new();
  archive_write_set_format_pax_restricted(tar);
  archive_write_open_memory(tar, bytes.data(), bytes.size(), &used);
  for (const TarEntry& from : entries) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, from.path.c_str());
    archive_entry_set_mode(entry, static_cast<mode_t>(from.mode));
    archive_entry_set_uid(entry, from.owner);
    archive_entry_set_gid(entry, from.owner);
    archive_entry_set_mtime(entry, 1'700'000'000, 0);
    switch (from.type) {
      case 'd': archive_entry_set_filetype(entry, AE_IFDIR); break;
      case 'c': archive_entry_set_filetype(entry, AE_IFCHR); break;
      case 'p': archive_entry_set_filetype(entry, AE_IFIFO); break;
      case 'l':
        archive_entry_set_filetype(entry, AE_IFLNK);
        archive_entry_set_symlink(entry, from.contents.c_str());
        break;
      case 'h': archive_entry_set_hardlink(entry, from.contents.c_str()); [[fallthrough]];
      default: archive_entry_set_filetype(entry, AE_IFREG);
    }
    const bool has_bytes = from.type == 'f';
    archive_entry_set_size(entry, has_bytes ? static_cast<int64_t>(from.contents.size()) : 0);
    if (!from.capability.empty())
      archive_entry_xattr_add_entry(entry, "security.capability", from.capability.data(),
                                    from.capability.size());
    archive_write_header(tar, entry);
    if (has_bytes) archive_write_data(tar, from.contents.data(), from.contents.size());
    archive_entry_free(entry);
  }
  archive_write_close(tar);
  archive_write_free(tar);
  bytes.resize(used);
  return bytes;
}

// An OCI layout directory with one image of uncompressed layers. Returns the manifest's digest.
inline std::string make_layout(
    const std::string& folder, const std::string& name, const std::vector<std::string>& layers,
    const std::string& architecture = std::string(machine_architecture())) {
  auto add_blob = [&](const std::string& bytes, std::string_view media_type) {
    Descriptor descriptor;
    descriptor.media_type = media_type;
    descriptor.digest = digest_of(bytes);
    descriptor.size = static_cast<int64_t>(bytes.size());
    write_text(folder + "/blobs/sha256/" + std::string(digest_hex(descriptor.digest)), bytes);
    return descriptor;
  };
  Manifest manifest;
  manifest.config = add_blob(R"({"os":"linux","architecture":")" + architecture +
                                 R"(","config":{"Env":["A=1"],"User":"runner","WorkingDir":"/w"}})",
                             kConfigMediaType);
  for (const std::string& layer : layers)
    manifest.layers.push_back(add_blob(layer, "application/vnd.oci.image.layer.v1.tar"));
  Descriptor entry = add_blob(to_json(manifest), kManifestMediaType);
  if (!name.empty()) entry.annotations[std::string(kRefNameAnnotation)] = name;
  write_text(folder + "/index.json", to_json(std::vector<Descriptor>{entry}));
  write_text(folder + "/oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
  return entry.digest;
}

// The same layout as a tar. `extra` entries come first.
inline void pack_layout(const std::string& folder, const std::string& archive_path,
                        std::vector<TarEntry> entries = {}) {
  for (const auto& file : std::filesystem::recursive_directory_iterator(folder))
    if (file.is_regular_file())
      entries.push_back({std::filesystem::relative(file.path(), folder).string(), 'f',
                         read_text_file(file.path().string())});
  write_text(archive_path, make_tar(entries));
}

}  // namespace nimbus::image
