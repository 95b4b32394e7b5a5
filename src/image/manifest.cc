#include "image/manifest.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/encoding.h"
#include "base/hash.h"
#include "base/json.h"
#include "model/image_reference.h"

namespace nimbus::image {
namespace {

namespace json = boost::json;

constexpr std::string_view kDockerList =
    "application/vnd.docker.distribution.manifest.list.v2+json";
constexpr std::string_view kDockerManifest = "application/vnd.docker.distribution.manifest.v2+json";

Result<json::object> parse_document(std::string_view text, std::string_view what) {
  if (text.size() > kDocumentBytesMax) {
    return fail(Code::too_large,
                fmt::format("the {} is larger than {} MiB", what, kDocumentBytesMax >> 20));
  }
  auto object = TRY_IN(what, parse_json_object(text));
  const auto version = TRY_IN(what, find_int(object, "schemaVersion"));
  if (version && *version != 2)
    return fail(Code::bad_request, fmt::format("{}: schemaVersion {}, not 2", what, *version));
  return object;
}

Result<Descriptor> parse_descriptor(const json::object& object) {
  Descriptor descriptor;
  descriptor.media_type = TRY(read_text(object, "mediaType"));
  descriptor.digest = TRY(read_text(object, "digest"));
  TRY(check_digest(descriptor.digest));
  descriptor.size = TRY(read_int(object, "size", 0, kBlobBytesMax));
  descriptor.annotations = TRY(find_text_map(object, "annotations"));
  if (const json::object* platform = TRY(find_object(object, "platform"))) {
    descriptor.os = TRY(find_text(*platform, "os")).value_or("");
    descriptor.architecture = TRY(find_text(*platform, "architecture")).value_or("");
  }
  return descriptor;
}

Result<std::vector<Descriptor>> parse_descriptors(const json::object& document,
                                                  std::string_view field, size_t count_max) {
  const json::array* items = TRY(find_array(document, field));
  if (items == nullptr) return fail(Code::bad_request, fmt::format("field `{}` is missing", field));
  if (items->size() > count_max) {
    return fail(Code::too_large,
                fmt::format("{} {}, at most {} are taken", items->size(), field, count_max));
  }
  std::vector<Descriptor> descriptors;
  for (const json::value& item : *items) {
    if (!item.is_object())
      return fail(Code::bad_request, fmt::format("`{}` holds something not an object", field));
    descriptors.push_back(TRY_IN(field, parse_descriptor(item.get_object())));
  }
  return descriptors;
}

json::object to_object(const Descriptor& descriptor) {
  json::object object{{"mediaType", descriptor.media_type},
                      {"digest", descriptor.digest},
                      {"size", descriptor.size}};
  if (!descriptor.architecture.empty()) {
    object["platform"] =
        json::object{{"architecture", descriptor.architecture}, {"os", descriptor.os}};
  }
  if (!descriptor.annotations.empty()) {
    json::object annotations;
    for (const auto& [key, value] : descriptor.annotations) annotations[key] = value;
    object["annotations"] = std::move(annotations);
  }
  return object;
}

}  // namespace

Result<std::vector<Descriptor>> parse_index(std::string_view text) {
  const auto document = TRY(parse_document(text, "image index"));
  return TRY_IN("image index", parse_descriptors(document, "manifests", kIndexEntriesMax));
}

Result<Manifest> parse_manifest(std::string_view text) {
  const auto document = TRY(parse_document(text, "image manifest"));
  Manifest manifest;
  const json::object* config = TRY_IN("image manifest", find_object(document, "config"));
  if (config == nullptr)
    return fail(Code::bad_request, "image manifest: field `config` is missing");
  manifest.config = TRY_IN("image manifest: config", parse_descriptor(*config));
  manifest.layers = TRY_IN("image manifest", parse_descriptors(document, "layers", kLayersMax));
  for (const Descriptor& layer : manifest.layers) TRY(layer_compression(layer));
  return manifest;
}

Result<ConfigDocument> parse_config(std::string_view text) {
  const auto document = TRY(parse_document(text, "image config"));
  ConfigDocument config;
  config.os = TRY_IN("image config", find_text(document, "os")).value_or("");
  config.architecture = TRY_IN("image config", find_text(document, "architecture")).value_or("");
  config.created = TRY_IN("image config", find_text(document, "created")).value_or("");
  if (const json::object* run = TRY_IN("image config", find_object(document, "config"))) {
    config.env = TRY_IN("image config", find_texts(*run, "Env"));
    config.user = TRY_IN("image config", find_text(*run, "User")).value_or("");
    config.working_dir = TRY_IN("image config", find_text(*run, "WorkingDir")).value_or("");
    config.entrypoint = TRY_IN("image config", find_texts(*run, "Entrypoint"));
    config.command = TRY_IN("image config", find_texts(*run, "Cmd"));
  }
  if (const json::object* rootfs = TRY_IN("image config", find_object(document, "rootfs")))
    config.diff_ids = TRY_IN("image config", find_texts(*rootfs, "diff_ids"));
  for (const std::string& variable : config.env) {
    if (variable.find('=') == std::string::npos || variable.front() == '=' ||
        variable.find('\0') != std::string::npos)
      return fail(Code::bad_request, "image config: an Env entry is not NAME=value");
  }
  return config;
}

Result<Reference> parse_reference(std::string_view text) {
  model::ImageReference parsed = TRY(model::parse_image_reference(text));
  Reference reference{std::move(parsed.name), std::move(parsed.digest)};
  if (!parsed.tag.empty() && parsed.tag != "latest") reference.name += ":" + parsed.tag;
  return reference;
}

Result<void> check_digest(std::string_view digest) {
  const bool well_formed =
      digest.starts_with("sha256:") && digest.size() == 7 + 64 &&
      digest.find_first_not_of("0123456789abcdef", 7) == std::string_view::npos;
  if (well_formed) return {};
  return fail(Code::bad_request,
              fmt::format("`{}` is not a digest", to_utf8_lossy(digest.substr(0, 80))),
              "a digest is sha256: and 64 lower-case hexadecimal digits");
}

std::string digest_of(std::string_view bytes) { return "sha256:" + to_hex(sha256(bytes)); }

std::string_view digest_hex(std::string_view digest) { return digest.substr(7); }

bool is_index(const Descriptor& descriptor) {
  return descriptor.media_type == kIndexMediaType || descriptor.media_type == kDockerList;
}

bool is_manifest(const Descriptor& descriptor) {
  return descriptor.media_type == kManifestMediaType || descriptor.media_type == kDockerManifest;
}

Result<Compression> layer_compression(const Descriptor& layer) {
  const std::string_view type = layer.media_type;
  if (type == "application/vnd.oci.image.layer.v1.tar") return Compression::none;
  if (type == "application/vnd.oci.image.layer.v1.tar+gzip" ||
      type == "application/vnd.docker.image.rootfs.diff.tar.gzip")
    return Compression::gzip;
  if (type == kZstdLayerMediaType) return Compression::zstd;
  return fail(Code::bad_request,
              fmt::format("layer {} has the media type `{}`, which is not a layer of an image",
                          layer.digest, type),
              "layers are tar, tar+gzip or tar+zstd; foreign and encrypted layers are not taken");
}

std::string_view machine_architecture() {
#if defined(__aarch64__)
  return "arm64";
#else
  return "amd64";
#endif
}

std::string to_json(const std::vector<Descriptor>& index_entries) {
  json::array manifests;
  for (const Descriptor& entry : index_entries) manifests.push_back(to_object(entry));
  return json::serialize(json::object{{"schemaVersion", 2},
                                      {"mediaType", std::string(kIndexMediaType)},
                                      {"manifests", std::move(manifests)}});
}

std::string to_json(const Manifest& manifest) {
  json::array layers;
  for (const Descriptor& layer : manifest.layers) layers.push_back(to_object(layer));
  return json::serialize(json::object{{"schemaVersion", 2},
                                      {"mediaType", std::string(kManifestMediaType)},
                                      {"config", to_object(manifest.config)},
                                      {"layers", std::move(layers)}});
}

}  // namespace nimbus::image
