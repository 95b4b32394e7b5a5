#include "registry/manifest_document.h"

#include <algorithm>
#include <boost/json.hpp>

#include "base/json.h"
#include "base/text.h"
#include "blob/digest.h"

namespace nimbus::registry {
namespace {

namespace json = boost::json;

// Layers that stay where their publisher has them; they are named and never pushed.
bool is_distributable(std::string_view media_type) {
  return media_type.find(".nondistributable.") == std::string_view::npos &&
         media_type.find(".foreign.") == std::string_view::npos;
}

constexpr size_t kPlatformBytesMax = 100;
// What a document may claim in all, so that sums of claims do not overflow.
constexpr int64_t kContentBytesMax = int64_t{1} << 50;

struct Descriptor {
  std::string media_type;
  std::string digest;
  int64_t size = 0;
};

Result<Descriptor> read_descriptor(const json::object& object) {
  Descriptor descriptor;
  descriptor.media_type = TRY(read_text(object, "mediaType"));
  descriptor.digest = TRY(read_text(object, "digest"));
  TRY(blob::parse_digest(descriptor.digest));
  descriptor.size = TRY(read_int(object, "size", 0));
  return descriptor;
}

void count_content(ManifestDocument& document, int64_t size) {
  document.content_bytes =
      std::min(document.content_bytes + std::min(size, kContentBytesMax), kContentBytesMax);
}

// "linux/arm64/v8" of a descriptor; "" when it says none, or nothing that a person could read.
std::string platform_of(const json::object& descriptor) {
  const json::value* platform = descriptor.if_contains("platform");
  if (platform == nullptr || !platform->is_object()) return "";
  std::string text;
  for (const std::string_view field : {"os", "architecture", "variant"}) {
    const json::value* part = platform->get_object().if_contains(field);
    if (part == nullptr || !part->is_string() || part->get_string().empty()) continue;
    if (!text.empty()) text += '/';
    text += part->get_string();
  }
  const bool plain =
      std::all_of(text.begin(), text.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; });
  // BuildKit's attestations call themselves that.
  if (!plain || text.size() > kPlatformBytesMax || text == "unknown/unknown") return "";
  return text;
}

void add_unique(std::vector<std::string>& list, std::string digest) {
  if (std::find(list.begin(), list.end(), digest) == list.end()) list.push_back(std::move(digest));
}

Result<const json::array*> read_entries(const json::object& object, std::string_view field) {
  const json::array* list = TRY(find_array(object, field));
  if (list == nullptr) {
    return fail(Code::bad_request, "field '" + std::string(field) + "' is missing");
  }
  if (list->size() > kManifestEntriesMax) {
    return fail(Code::bad_request, "field '" + std::string(field) + "' has over " +
                                       std::to_string(kManifestEntriesMax) + " entries");
  }
  for (const json::value& entry : *list) {
    if (!entry.is_object()) return fail(Code::bad_request, "a descriptor is not an object");
  }
  return list;
}

Result<std::string> judge_type(const json::object& object, std::string_view content_type) {
  std::string said = to_lower(trim(content_type.substr(0, content_type.find(';'))));
  const std::string own = TRY(find_text(object, "mediaType")).value_or("");
  if (said.empty()) said = own;
  if (!own.empty() && own != said) {
    return fail(Code::bad_request,
                "the manifest's mediaType is '" + own + "' but the Content-Type is another");
  }
  if (!is_manifest_type(said)) {
    return fail(Code::bad_request, "this is no media type of an image manifest or index",
                "send the manifest's media type as Content-Type");
  }
  return said;
}

Result<void> read_image(const json::object& object, ManifestDocument& document) {
  if (object.contains("manifests")) {
    return fail(Code::bad_request, "an image manifest must not have the field 'manifests'");
  }
  const json::object* config = TRY(find_object(object, "config"));
  if (config == nullptr) return fail(Code::bad_request, "field 'config' is missing");
  Descriptor described = TRY_IN("config", read_descriptor(*config));
  if (document.artifact_type.empty()) document.artifact_type = described.media_type;
  count_content(document, described.size);
  add_unique(document.blobs, std::move(described.digest));
  for (const json::value& entry : *TRY(read_entries(object, "layers"))) {
    Descriptor layer = TRY_IN("layers", read_descriptor(entry.get_object()));
    if (!is_distributable(layer.media_type)) continue;
    count_content(document, layer.size);
    add_unique(document.blobs, std::move(layer.digest));
  }
  return {};
}

Result<void> read_index(const json::object& object, ManifestDocument& document) {
  if (object.contains("layers") || object.contains("config")) {
    return fail(Code::bad_request, "an image index must not have the fields 'layers' or 'config'");
  }
  for (const json::value& entry : *TRY(read_entries(object, "manifests"))) {
    Descriptor child = TRY_IN("manifests", read_descriptor(entry.get_object()));
    if (!is_manifest_type(child.media_type)) count_content(document, child.size);
    std::string platform = platform_of(entry.get_object());
    if (!platform.empty()) document.platforms.emplace(child.digest, std::move(platform));
    add_unique(document.children, std::move(child.digest));
  }
  return {};
}

}  // namespace

bool is_manifest_type(std::string_view media_type) {
  return media_type == kOciManifest || media_type == kOciIndex || media_type == kDockerManifest ||
         media_type == kDockerList;
}

Result<ManifestDocument> parse_manifest(std::string_view bytes, std::string_view content_type) {
  if (bytes.size() > kManifestBytesMax) {
    return fail(Code::too_large,
                "the manifest is over " + std::to_string(kManifestBytesMax) + " bytes");
  }
  const json::object object = TRY(parse_json_object(bytes));
  ManifestDocument document;
  document.media_type = TRY(judge_type(object, content_type));
  TRY(read_int(object, "schemaVersion", 2, 2));
  document.artifact_type = TRY(find_text(object, "artifactType")).value_or("");
  if (const json::object* subject = TRY(find_object(object, "subject")); subject != nullptr) {
    document.subject = TRY_IN("subject", read_descriptor(*subject)).digest;
  }
  TRY(find_text_map(object, "annotations"));
  if (const json::object* notes = TRY(find_object(object, "annotations")); notes != nullptr) {
    document.annotations = json::serialize(*notes);
  }
  const bool index = document.media_type == kOciIndex || document.media_type == kDockerList;
  TRY(index ? read_index(object, document) : read_image(object, document));
  return document;
}

}  // namespace nimbus::registry
