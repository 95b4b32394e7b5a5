#include "image/recipe.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <filesystem>
#include <functional>

#include "base/text.h"
#include "image/manifest.h"
#include "os/atomic_file.h"

namespace nimbus::image {
namespace {

constexpr size_t kRecipeBytesMax = 1 << 20;

// One table of the file: hands out its values and then refuses what nobody asked for.
class Section {
 public:
  Section(const toml::table& table, std::string where) : table_(table), where_(std::move(where)) {}

  Result<std::string> text(std::string_view key, std::optional<std::string> otherwise = {}) {
    const toml::node* node = take(key);
    if (node == nullptr && otherwise) return *otherwise;
    if (node == nullptr)
      return fail(Code::bad_request, fmt::format("{}: `{}` is missing", where_, key));
    if (auto value = node->value_exact<std::string>()) return *value;
    return wrong(key, *node, "a string");
  }

  Result<std::vector<std::string>> texts(std::string_view key) {
    std::vector<std::string> values;
    const toml::node* node = take(key);
    if (node == nullptr) return values;
    const toml::array* array = node->as_array();
    if (array == nullptr) return wrong(key, *node, "a list of strings");
    for (const toml::node& item : *array) {
      auto value = item.value_exact<std::string>();
      if (!value) return wrong(key, item, "a list of strings");
      values.push_back(*value);
    }
    return values;
  }

  Result<uint32_t> number(std::string_view key, std::optional<uint32_t> otherwise = {}) {
    const toml::node* node = take(key);
    if (node == nullptr && otherwise) return *otherwise;
    if (node == nullptr)
      return fail(Code::bad_request, fmt::format("{}: `{}` is missing", where_, key));
    const auto value = node->value_exact<int64_t>();
    if (value && *value >= 0 && *value <= 0xffff) return static_cast<uint32_t>(*value);
    return wrong(key, *node, "a number from 0 to 65535");
  }

  // A path within the image, as an absolute one.
  Result<std::string> image_path(std::string_view key) {
    std::string path = TRY(text(key));
    TRY(check_image_path(path));
    return path;
  }

  Result<void> check_image_path(const std::string& path) const {
    if (path.starts_with('/') && path.find("/../") == std::string::npos && !path.ends_with("/.."))
      return {};
    return fail(Code::bad_request,
                fmt::format("{}: `{}` is not an absolute path in the image", where_, path));
  }

  Result<void> refuse_others() const {
    for (const auto& [key, node] : table_) {
      if (std::find(taken_.begin(), taken_.end(), key.str()) != taken_.end()) continue;
      const std::vector<std::string_view> known(taken_.begin(), taken_.end());
      const std::string_view near = nearest(key.str(), known);
      return fail(
          Code::bad_request,
          fmt::format("{}:{}: unknown key `{}`", where_, node.source().begin.line, key.str()),
          near.empty() ? "" : fmt::format("did you mean `{}`?", near));
    }
    return {};
  }

  const toml::node* take(std::string_view key) {
    taken_.emplace_back(key);
    return table_.get(key);
  }

 private:
  tl::unexpected<Error> wrong(std::string_view key, const toml::node& node,
                              std::string_view wanted) const {
    return fail(Code::bad_request, fmt::format("{}:{}: `{}` must be {}", where_,
                                               node.source().begin.line, key, wanted));
  }

  const toml::table& table_;
  std::string where_;
  std::vector<std::string> taken_;
};

using ReadSection = std::function<Result<void>(Section&)>;

Result<void> read_table(Section& root, std::string_view key, const std::string& where,
                        const ReadSection& read) {
  const toml::node* node = root.take(key);
  if (node == nullptr) return {};
  const toml::table* table = node->as_table();
  if (table == nullptr)
    return fail(Code::bad_request, fmt::format("{}: `{}` must be a table", where, key));
  Section section(*table, fmt::format("{} [{}]", where, key));
  TRY(read(section));
  return section.refuse_others();
}

Result<void> read_tables(Section& root, std::string_view key, const std::string& where,
                         const ReadSection& read) {
  const toml::node* node = root.take(key);
  if (node == nullptr) return {};
  const toml::array* array = node->as_array();
  if (array == nullptr || !array->is_homogeneous(toml::node_type::table))
    return fail(Code::bad_request, fmt::format("{}: write [[{}]]", where, key));
  for (const toml::node& item : *array) {
    Section section(*item.as_table(), fmt::format("{} [[{}]]", where, key));
    TRY(read(section));
    TRY(section.refuse_others());
  }
  return {};
}

class RecipeReader {
 public:
  RecipeReader(Recipe& recipe, std::string where) : recipe_(recipe), where_(std::move(where)) {}

  Result<void> read(const toml::table& table) {
    Section root(table, where_);
    recipe_.name = TRY(root.text("name"));
    const Reference reference = TRY_IN(where_, parse_reference(recipe_.name));
    if (!reference.digest.empty() || recipe_.name.find(':') != std::string::npos) {
      return fail(Code::bad_request,
                  fmt::format("{}: `{}` is not an image name without tag", where_, recipe_.name));
    }
    recipe_.summary = TRY(root.text("summary", ""));
    const std::string from = TRY(root.text("from", ""));
    recipe_.from = from.empty() ? "" : host_path(from);
    recipe_.remove = TRY(root.texts("remove"));
    for (const std::string& path : recipe_.remove) TRY(root.check_image_path(path));
    TRY(read_debian(root));
    TRY(read_files(root));
    TRY(read_npm(root));
    TRY(read_config(root));
    return root.refuse_others();
  }

 private:
  std::string host_path(const std::string& path) const {
    return (std::filesystem::path(recipe_.folder) / path).lexically_normal().string();
  }

  Result<void> read_debian(Section& root) {
    TRY(read_table(root, "debian", where_, [&](Section& section) -> Result<void> {
      DebianPart& debian = recipe_.debian.emplace();
      debian.suite = TRY(section.text("suite"));
      debian.packages = TRY(section.texts("packages"));
      debian.exclude = TRY(section.texts("exclude"));
      return {};
    }));
    TRY(read_tables(root, "user", where_, [&](Section& section) -> Result<void> {
      UserPart user;
      user.name = TRY(section.text("name"));
      user.id = TRY(section.number("id"));
      user.home = TRY(section.image_path("home"));
      user.shell = TRY(section.text("shell", user.shell));
      recipe_.users.push_back(std::move(user));
      return {};
    }));
    if (!recipe_.users.empty() && !recipe_.debian) {
      return fail(Code::bad_request, where_ +
                                         ": [[user]] needs [debian]: users are made where "
                                         "/etc/passwd is");
    }
    if (recipe_.debian && !recipe_.from.empty())
      return fail(Code::bad_request, where_ + ": an image is either from another or [debian]");
    return {};
  }

  Result<void> read_files(Section& root) {
    TRY(read_tables(root, "copy", where_, [&](Section& section) -> Result<void> {
      CopyPart copy;
      copy.from = host_path(TRY(section.text("from")));
      copy.to = TRY(section.image_path("to"));
      copy.exclude = TRY(section.texts("exclude"));
      recipe_.copies.push_back(std::move(copy));
      return {};
    }));
    TRY(read_tables(root, "directory", where_, [&](Section& section) -> Result<void> {
      DirectoryPart directory;
      directory.path = TRY(section.image_path("path"));
      directory.mode = TRY(section.number("mode", directory.mode));
      directory.owner = TRY(section.number("owner", directory.owner));
      recipe_.directories.push_back(std::move(directory));
      return {};
    }));
    TRY(read_tables(root, "link", where_, [&](Section& section) -> Result<void> {
      const std::string path = TRY(section.image_path("path"));
      recipe_.links[path] = TRY(section.text("to"));
      return {};
    }));
    return read_tables(root, "mode", where_, [&](Section& section) -> Result<void> {
      const std::string path = TRY(section.image_path("path"));
      recipe_.modes[path] = TRY(section.number("mode"));
      return {};
    });
  }

  Result<void> read_npm(Section& root) {
    TRY(read_tables(root, "npm", where_, [&](Section& section) -> Result<void> {
      NpmPart npm;
      npm.from = host_path(TRY(section.text("from")));
      npm.to = TRY(section.image_path("to"));
      recipe_.npm.push_back(std::move(npm));
      return {};
    }));
    return read_tables(root, "npm-package", where_, [&](Section& section) -> Result<void> {
      NpmPackagePart package;
      package.from = host_path(TRY(section.text("from")));
      package.to = TRY(section.image_path("to"));
      recipe_.npm_packages.push_back(std::move(package));
      return {};
    });
  }

  Result<void> read_config(Section& root) {
    return read_table(root, "config", where_, [&](Section& section) -> Result<void> {
      recipe_.config.env = TRY(section.texts("env"));
      recipe_.config.user = TRY(section.text("user", ""));
      recipe_.config.working_dir = TRY(section.text("workdir", ""));
      recipe_.config.entrypoint = TRY(section.texts("entrypoint"));
      recipe_.config.command = TRY(section.texts("command"));
      for (const std::string& variable : recipe_.config.env) {
        if (variable.find('=') == std::string::npos) {
          return fail(Code::bad_request,
                      fmt::format("{}: env `{}` is not NAME=value", where_, variable));
        }
      }
      return {};
    });
  }

  Recipe& recipe_;
  std::string where_;
};

}  // namespace

Result<Recipe> read_recipe(const std::string& folder) {
  std::error_code error;
  const auto absolute = std::filesystem::canonical(folder, error);
  if (error)
    return fail(Code::not_found, fmt::format("no folder {}", folder), "name an image's folder");
  auto text = os::read_file((absolute / "image.toml").string(), kRecipeBytesMax);
  if (!text && text.error().code == Code::not_found)
    return fail(Code::not_found, fmt::format("{} has no image.toml", folder));
  return parse_recipe(TRY(std::move(text)), absolute.string());
}

Result<Recipe> parse_recipe(const std::string& text, const std::string& folder) {
  Recipe recipe;
  recipe.folder = folder;
  recipe.text = text;
  const std::string where = folder + "/image.toml";
  toml::table table;
  try {
    table = toml::parse(text, where);
  } catch (const toml::parse_error& error) {
    return fail(Code::bad_request,
                fmt::format("{}:{}: {}", where, error.source().begin.line, error.description()));
  }
  TRY(RecipeReader(recipe, where).read(table));
  return recipe;
}

std::string short_name(const Recipe& recipe) {
  return recipe.name.substr(recipe.name.rfind('/') + 1);
}

}  // namespace nimbus::image
