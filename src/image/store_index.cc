#include "image/store_index.h"

#include <algorithm>

#include "image/files.h"
#include "os/atomic_file.h"

namespace nimbus::image {
namespace {

constexpr const char* kSource = "dev.nimbus.source";
constexpr const char* kSourceDigest = "dev.nimbus.source-digest";
constexpr const char* kReplacedAt = "dev.nimbus.replaced-at";

std::string take(std::map<std::string, std::string>& annotations, const std::string& key) {
  const auto node = annotations.extract(key);
  return node.empty() ? std::string() : node.mapped();
}

void set(std::map<std::string, std::string>& annotations, std::string_view key,
         const std::string& value) {
  if (!value.empty()) annotations[std::string(key)] = value;
}

bool matches(const StoredImage& image, const Reference& reference) {
  return reference.digest.empty() ? image.name == reference.name
                                  : image.manifest.digest == reference.digest;
}

}  // namespace

Result<StoreIndex> StoreIndex::read(const std::string& path) {
  StoreIndex index;
  const std::string document = TRY(os::read_file(path, kDocumentBytesMax));
  for (Descriptor& entry : TRY_IN(path, parse_index(document))) {
    StoredImage image;
    image.name = take(entry.annotations, std::string(kRefNameAnnotation));
    image.source = take(entry.annotations, kSource);
    image.source_digest = take(entry.annotations, kSourceDigest);
    if (auto time = parse_rfc3339(take(entry.annotations, kReplacedAt))) image.replaced_at = *time;
    image.manifest = std::move(entry);
    index.images_.push_back(std::move(image));
  }
  return index;
}

Result<void> StoreIndex::write(const std::string& path) const {
  std::vector<Descriptor> entries;
  for (const StoredImage& image : images_) {
    Descriptor entry = image.manifest;
    set(entry.annotations, kRefNameAnnotation, image.name);
    set(entry.annotations, kSource, image.source);
    set(entry.annotations, kSourceDigest, image.source_digest);
    if (image.replaced_at) set(entry.annotations, kReplacedAt, to_rfc3339(*image.replaced_at));
    entries.push_back(std::move(entry));
  }
  return os::write_file_atomically(path, to_json(entries));
}

const StoredImage* StoreIndex::find(const Reference& reference) const {
  const auto found = std::find_if(images_.begin(), images_.end(), [&](const StoredImage& image) {
    return matches(image, reference);
  });
  return found == images_.end() ? nullptr : &*found;
}

void StoreIndex::put(StoredImage image, Time now) {
  std::erase_if(images_, [&](const StoredImage& old) {
    return old.manifest.digest == image.manifest.digest &&
           (old.name.empty() || old.name == image.name);
  });
  for (StoredImage& old : images_) {
    if (old.name != image.name) continue;
    old.name.clear();
    old.replaced_at = now;
  }
  images_.push_back(std::move(image));
}

bool StoreIndex::remove(const Reference& reference) {
  return std::erase_if(images_,
                       [&](const StoredImage& image) { return matches(image, reference); }) > 0;
}

void StoreIndex::forget_replaced_before(Time time) {
  std::erase_if(images_, [&](const StoredImage& image) {
    return image.name.empty() && (!image.replaced_at || *image.replaced_at < time);
  });
}

}  // namespace nimbus::image
