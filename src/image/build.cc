#include "image/build.h"

#include <fmt/format.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "base/encoding.h"
#include "base/hash.h"
#include "base/json.h"
#include "image/archive.h"
#include "image/files.h"
#include "image/pack.h"
#include "image/recipe.h"
#include "image/stage.h"
#include "os/atomic_file.h"

namespace nimbus::image {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr int kBasesMax = 8;
// Raised when the same recipe would give other bytes.
constexpr std::string_view kBuilderVersion = "1";
constexpr int64_t kDefaultTime = 1'704'067'200;  // 2024-01-01, when SOURCE_DATE_EPOCH is not set
constexpr size_t kLayerNoteBytesMax = 64 << 10;

int64_t source_time() {
  const char* text = ::getenv("SOURCE_DATE_EPOCH");
  const std::string_view digits = text == nullptr ? "" : text;
  int64_t time = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), time);
  const bool whole = error == std::errc() && end == digits.data() + digits.size() && time >= 0;
  return whole ? time : kDefaultTime;
}

void step(const BuildOptions& options, std::string_view what) {
  if (options.on_step) options.on_step(what);
}

// What a cached layer's folder says about it.
std::string to_note(const PackedLayer& layer) {
  return json::serialize(json::object{{"digest", layer.descriptor.digest},
                                      {"size", layer.descriptor.size},
                                      {"diff_id", layer.diff_id}});
}

Result<PackedLayer> read_cached(const std::string& folder) {
  const std::string note = TRY(os::read_file(folder + "/layer.json", kLayerNoteBytesMax));
  const json::object object = TRY(parse_json_object(note));
  PackedLayer layer;
  layer.path = folder + "/layer.tar.zst";
  layer.descriptor.media_type = kZstdLayerMediaType;
  layer.descriptor.digest = TRY(read_text(object, "digest"));
  layer.descriptor.size = TRY(read_int(object, "size", 0));
  layer.diff_id = TRY(read_text(object, "diff_id"));
  TRY(check_digest(layer.descriptor.digest));
  if (file_size(layer.path) != layer.descriptor.size)
    return fail(Code::corrupt, "the cached layer is incomplete");
  return layer;
}

class Builder {
 public:
  explicit Builder(const BuildOptions& options)
      : options_(options), cache_(options.output + "/cache"), time_(source_time()) {}

  Result<BuiltImage> build(const Recipe& recipe) {
    ArchiveContents contents = TRY(assemble(recipe, 0));
    contents.name = recipe.name;
    BuiltImage built;
    built.name = recipe.name;
    built.archive = fmt::format("{}/{}.oci.tar", options_.output, short_name(recipe));
    built.digest = make_documents(contents).manifest_digest;
    const auto there = read_archive_index(built.archive);
    built.changed = !there || there->size() != 1 || there->front().digest != built.digest;
    if (built.changed) {
      step(options_, fmt::format("{}: writing {}", recipe.name, built.archive));
      TRY(write_archive(contents, built.archive));
    }
    built.size_bytes = file_size(built.archive);
    return built;
  }

 private:
  // The layers and the config of a recipe, those of its bases included.
  Result<ArchiveContents> assemble(const Recipe& recipe, int depth) {
    if (depth > kBasesMax)
      return fail(Code::bad_request, recipe.folder + ": more than 8 bases, or a base of itself");
    ArchiveContents contents;
    if (!recipe.from.empty()) {
      const Recipe base = TRY(read_recipe(recipe.from));
      contents = TRY(assemble(base, depth + 1));
    }
    contents.layers.push_back(TRY_IN("building " + recipe.name, layer_of(recipe)));
    merge(contents.config, recipe.config);
    contents.time = time_;
    return contents;
  }

  static void merge(ImageConfig& config, const ImageConfig& own) {
    for (const std::string& variable : own.env) {
      const std::string prefix = variable.substr(0, variable.find('=') + 1);
      std::erase_if(config.env, [&](const std::string& old) { return old.starts_with(prefix); });
      config.env.push_back(variable);
    }
    if (!own.user.empty()) config.user = own.user;
    if (!own.working_dir.empty()) config.working_dir = own.working_dir;
    if (!own.entrypoint.empty()) config.entrypoint = own.entrypoint;
    if (!own.command.empty()) config.command = own.command;
  }

  // One folder per image holds the one layer that was made last, named by what it was made from.
  Result<PackedLayer> layer_of(const Recipe& recipe) {
    const std::string folder = cache_ + "/" + short_name(recipe);
    const std::string key = TRY(recipe_key(recipe));
    const std::string kept = folder + "/" + key;
    if (!options_.fresh || made_.contains(kept)) {
      if (auto layer = read_cached(kept)) return layer;
    }
    PackedLayer layer = TRY(make_layer(recipe, folder, kept));
    made_.insert(kept);
    return layer;
  }

  Result<PackedLayer> make_layer(const Recipe& recipe, const std::string& folder,
                                 const std::string& kept) {
    TRY(os::make_directories(cache_ + "/tmp"));
    remove_abandoned(cache_ + "/tmp");
    const TemporaryDirectory work = TRY(TemporaryDirectory::make(cache_ + "/tmp"));
    StageOptions stage{
        work.path(),
        cache_ + "/npm",
        options_.mirror,
        time_,
        options_.on_line,
        [&](std::string_view what) { step(options_, fmt::format("{}: {}", recipe.name, what)); }};
    const std::string tree = TRY(stage_tree(recipe, stage));
    stage.on_step("packing the layer");
    PackOptions pack;
    pack.time = time_;
    pack.keep_owners = recipe.debian.has_value();
    for (const DirectoryPart& directory : recipe.directories)
      pack.owners[directory.path] = directory.owner;
    TRY(os::make_directories(work.file("layer")));
    const PackedLayer made = TRY(pack_layer(tree, work.file("layer/layer.tar.zst"), pack));
    TRY(os::write_file_atomically(work.file("layer/layer.json"), to_note(made)));
    TRY(os::remove_tree(folder));
    TRY(os::make_directories(folder));
    TRY(rename_file(work.file("layer"), kept));
    return read_cached(kept);
  }

  Result<std::string> recipe_key(const Recipe& recipe) const {
    Sha256 hash;
    hash.update(fmt::format("{} {} {} {}\n", kBuilderVersion, time_, options_.mirror, recipe.text));
    TRY(hash_sources(recipe, hash));
    return to_hex(hash.finish()).substr(0, 32);
  }

  const BuildOptions& options_;
  std::string cache_;
  int64_t time_;
  std::set<std::string> made_;  // in this build, so that `fresh` makes a shared base once
};

}  // namespace

Result<BuiltImage> build_image(const std::string& folder, const BuildOptions& options) {
  const Recipe recipe = TRY(read_recipe(folder));
  BuildOptions absolute = options;
  absolute.output = fs::absolute(options.output).lexically_normal().string();
  TRY(os::make_directories(absolute.output, 0755));
  TRY(os::make_directories(absolute.output + "/cache", 0755));
  const FileLock lock = TRY(FileLock::take(absolute.output + "/cache/lock"));
  return Builder(absolute).build(recipe);
}

}  // namespace nimbus::image
