#include "image/stage.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>

#include "base/json.h"
#include "base/text.h"
#include "image/command.h"
#include "image/files.h"
#include "os/atomic_file.h"

namespace nimbus::image {
namespace {

namespace fs = std::filesystem;

constexpr size_t kSourceFileBytesMax = 64 << 20;
constexpr size_t kPackageJsonBytesMax = 1 << 20;

// Never part of a package's sources: what installing and building leaves behind.
const std::vector<std::string> kBuildLeftovers = {"node_modules", "dist"};

bool excluded(const fs::path& name, const std::vector<std::string>& exclude) {
  return std::find(exclude.begin(), exclude.end(), name.filename().string()) != exclude.end();
}

tl::unexpected<Error> refused(std::string_view what, const std::string& path,
                              const std::error_code& error) {
  return fail(errno_error(fmt::format("{} {}", what, path), error.value()));
}

// A folder's entries by name, so that every walk has one order.
Result<std::vector<fs::path>> entries_of(const std::string& folder,
                                         const std::vector<std::string>& exclude) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (auto entry = fs::directory_iterator(folder, error);
       !error && entry != fs::directory_iterator(); entry.increment(error))
    if (!excluded(entry->path(), exclude)) entries.push_back(entry->path());
  if (error) return refused("reading folder", folder, error);
  std::sort(entries.begin(), entries.end());
  return entries;
}

Result<void> hash_tree(const fs::path& path, const std::string& name,
                       const std::vector<std::string>& exclude, Sha256& hash) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(path, error);
  if (error || !fs::exists(status))
    return fail(Code::not_found, fmt::format("{} is not there", path.string()));
  hash.update(fmt::format("{}\n{:o}\n", name, static_cast<unsigned>(status.permissions())));
  if (fs::is_symlink(status)) {
    hash.update(fs::read_symlink(path, error).string() + "\n");
  } else if (fs::is_directory(status)) {
    for (const fs::path& entry : TRY(entries_of(path.string(), exclude)))
      TRY(hash_tree(entry, name + "/" + entry.filename().string(), exclude, hash));
  } else if (fs::is_regular_file(status)) {
    const std::string bytes = TRY(os::read_file(path.string(), kSourceFileBytesMax));
    hash.update(fmt::format("{}\n", bytes.size()));
    hash.update(bytes);
  }
  return {};
}

// Copies what belongs into an image: files with their mode reduced to 644 or 755, since a checkout
// knows no more, folders and links.
Result<void> copy_tree(const fs::path& from, const std::string& to,
                       const std::vector<std::string>& exclude) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(from, error);
  if (error || !fs::exists(status))
    return fail(Code::not_found, fmt::format("{} is not there", from.string()));
  if (fs::is_directory(status)) {
    TRY(os::make_directories(to, 0755));
    for (const fs::path& entry : TRY(entries_of(from.string(), exclude)))
      TRY(copy_tree(entry, to + "/" + entry.filename().string(), exclude));
    return {};
  }
  fs::create_directories(fs::path(to).parent_path(), error);
  fs::remove(to, error);
  error.clear();
  fs::copy(from, to, fs::copy_options::copy_symlinks, error);
  if (error) return refused("copying to", to, error);
  const bool executable = (status.permissions() & fs::perms::owner_exec) != fs::perms::none;
  if (fs::is_regular_file(status) && ::chmod(to.c_str(), executable ? 0755 : 0644) != 0)
    return fail(errno_error("changing the mode of " + to, errno));
  return {};
}

class Stage {
 public:
  Stage(const Recipe& recipe, const StageOptions& options)
      : recipe_(recipe), options_(options), tree_(options.work + "/tree") {}

  Result<std::string> make() {
    if (recipe_.debian) {
      TRY(install_debian(*recipe_.debian));
    } else {
      TRY(os::make_directories(tree_, 0755));
    }
    for (const UserPart& user : recipe_.users) TRY(add_user(user));
    for (const NpmPart& npm : recipe_.npm) TRY(install_npm(npm));
    for (const NpmPackagePart& package : recipe_.npm_packages) TRY(install_package(package));
    for (const CopyPart& copy : recipe_.copies)
      TRY(copy_tree(copy.from, TRY(inside(copy.to)), copy.exclude));
    for (const DirectoryPart& directory : recipe_.directories) TRY(add_directory(directory));
    for (const auto& [path, text] : recipe_.links) TRY(add_link(path, text));
    for (const std::string& path : recipe_.remove) TRY(remove(path));
    for (const auto& [path, mode] : recipe_.modes) TRY(set_mode(path, mode));
    return tree_;
  }

 private:
  // Where a path of the image lies. A link among its parents would lead out of the tree.
  Result<std::string> inside(const std::string& path) const {
    std::string place = tree_;
    const fs::path parent = fs::path(path).parent_path();
    for (const fs::path& part : parent.relative_path()) {
      place += "/" + part.string();
      std::error_code error;
      if (fs::is_symlink(fs::symlink_status(place, error))) {
        return fail(Code::bad_request, fmt::format("{} leads through a link of the image", path),
                    "name the folder that the link stands for");
      }
    }
    return tree_ + path;
  }

  Result<void> run_program(std::vector<std::string> argv, const std::string& directory = "",
                           std::vector<std::pair<std::string, std::string>> env = {}) const {
    env.emplace_back("SOURCE_DATE_EPOCH", std::to_string(options_.time));
    Command command;
    command.argv = std::move(argv);
    command.directory = directory;
    command.env = std::move(env);
    command.on_line = options_.on_line;
    return run(command);
  }

  Result<void> install_debian(const DebianPart& debian) const {
    if (::geteuid() != 0) {
      return fail(Code::forbidden, "a Debian image is built as root",
                  "run it with sudo, or import an image that was built elsewhere");
    }
    options_.on_step(
        fmt::format("installing Debian {} with {} packages", debian.suite, debian.packages.size()));
    std::vector<std::string> argv = {"mmdebstrap", "--mode=root", "--variant=minbase",
                                     "--aptopt=Acquire::Retries \"3\"",
                                     "--include=" + join(debian.packages, ",")};
    for (const std::string& path : debian.exclude) argv.push_back("--dpkgopt=path-exclude=" + path);
    argv.push_back("--dpkgopt=path-include=/usr/share/doc/*/copyright");
    argv.insert(argv.end(), {debian.suite, tree_});
    if (!options_.mirror.empty()) argv.push_back(options_.mirror);
    TRY(run_program(std::move(argv)));
    return clean_debian();
  }

  // What installing leaves behind that no machine should share, or that names this one.
  Result<void> clean_debian() const {
    for (std::string_view path :
         {"/etc/hostname", "/etc/resolv.conf", "/etc/passwd-", "/etc/group-", "/etc/shadow-",
          "/etc/gshadow-", "/var/cache/ldconfig/aux-cache", "/var/log/dpkg.log",
          "/var/log/bootstrap.log", "/var/log/alternatives.log", "/var/lib/dpkg/status-old",
          "/var/lib/dpkg/diversions-old", "/var/lib/dpkg/statoverride-old"})
      TRY(os::remove_tree(TRY(inside(std::string(path)))));
    for (std::string_view path : {"/dev", "/var/log/apt", "/var/cache/apt", "/var/lib/apt/lists",
                                  "/var/cache/debconf", "/tmp", "/run"})
      TRY(empty(std::string(path)));
    return os::write_file_atomically(tree_ + "/etc/machine-id", "", 0444);
  }

  Result<void> empty(const std::string& path) const {
    const std::string place = TRY(inside(path));
    if (!exists(place)) return {};
    for (const fs::path& entry : TRY(entries_of(place, {}))) TRY(os::remove_tree(entry.string()));
    return {};
  }

  Result<void> add_user(const UserPart& user) const {
    TRY(run_program({"chroot", tree_, "useradd", "--uid", std::to_string(user.id), "--user-group",
                     "--create-home", "--home-dir", user.home, "--shell", user.shell, user.name}));
    for (std::string_view path : {"/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-",
                                  "/etc/subuid-", "/etc/subgid-", "/etc/.pwd.lock"})
      TRY(os::remove_tree(TRY(inside(std::string(path)))));
    return {};
  }

  Result<void> npm(std::vector<std::string> words, const std::string& directory) const {
    std::vector<std::string> argv = {"npm"};
    argv.insert(argv.end(), words.begin(), words.end());
    argv.insert(argv.end(), {"--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error",
                             "--prefer-offline"});
    return run_program(std::move(argv), directory, {{"npm_config_cache", options_.npm_cache}});
  }

  Result<void> install_npm(const NpmPart& part) {
    options_.on_step(fmt::format("npm packages of {}", fs::path(part.from).filename().string()));
    const std::string folder = fmt::format("{}/npm-{}", options_.work, ++folders_);
    TRY(copy_tree(part.from, folder, kBuildLeftovers));
    TRY(npm({"ci", "--omit=dev", "--ignore-scripts"}, folder));
    TRY(os::remove_tree(folder + "/node_modules/.bin"));
    TRY(os::remove_tree(folder + "/node_modules/.package-lock.json"));
    const std::string to = TRY(inside(part.to + "/node_modules"));
    TRY(os::make_directories(fs::path(to).parent_path().string(), 0755));
    return rename_file(folder + "/node_modules", to);
  }

  Result<void> install_package(const NpmPackagePart& part) {
    const std::string folder = fmt::format("{}/package-{}", options_.work, ++folders_);
    TRY(copy_tree(part.from, folder, kBuildLeftovers));
    const std::string text = TRY(os::read_file(folder + "/package.json", kPackageJsonBytesMax));
    const boost::json::object package = TRY_IN(part.from, parse_json_object(text));
    const std::string name = TRY_IN(part.from, read_text(package, "name"));
    options_.on_step("building " + name);
    TRY(npm({"ci", "--ignore-scripts"}, folder));
    TRY(npm({"run", "build"}, folder));
    std::vector<std::string> files = TRY_IN(part.from, find_texts(package, "files"));
    files.push_back("package.json");
    for (const std::string& file : files) {
      const std::string to = TRY(inside(fmt::format("{}/{}/{}", part.to, name, file)));
      TRY(copy_tree(fmt::format("{}/{}", folder, file), to, {}));
    }
    return {};
  }

  Result<void> add_directory(const DirectoryPart& directory) const {
    const std::string place = TRY(inside(directory.path));
    TRY(os::make_directories(place, 0755));
    if (::chmod(place.c_str(), directory.mode) != 0)
      return fail(errno_error("changing the mode of " + place, errno));
    // Without root the packer writes the owner into the layer instead.
    if (::geteuid() == 0 && ::lchown(place.c_str(), directory.owner, directory.owner) != 0)
      return fail(errno_error("changing the owner of " + place, errno));
    return {};
  }

  Result<void> add_link(const std::string& path, const std::string& text) const {
    const std::string place = TRY(inside(path));
    std::error_code error;
    fs::create_directories(fs::path(place).parent_path(), error);
    fs::remove(place, error);
    error.clear();
    fs::create_symlink(text, place, error);
    if (error) return refused("making the link", place, error);
    return {};
  }

  // "/usr/share/man/*" empties the folder, a path without `*` removes it.
  Result<void> remove(const std::string& path) const {
    if (path.ends_with("/*")) return empty(path.substr(0, path.size() - 2));
    return os::remove_tree(TRY(inside(path)));
  }

  Result<void> set_mode(const std::string& path, uint32_t mode) const {
    const std::string place = TRY(inside(path));
    if (::chmod(place.c_str(), mode) == 0) return {};
    return fail(errno_error("changing the mode of " + path, errno));
  }

  const Recipe& recipe_;
  const StageOptions& options_;
  std::string tree_;
  int folders_ = 0;
};

}  // namespace

Result<std::string> stage_tree(const Recipe& recipe, const StageOptions& options) {
  return Stage(recipe, options).make();
}

Result<void> hash_sources(const Recipe& recipe, Sha256& hash) {
  for (const CopyPart& copy : recipe.copies) TRY(hash_tree(copy.from, "copy", copy.exclude, hash));
  for (const NpmPart& npm : recipe.npm) TRY(hash_tree(npm.from, "npm", kBuildLeftovers, hash));
  for (const NpmPackagePart& package : recipe.npm_packages)
    TRY(hash_tree(package.from, "package", kBuildLeftovers, hash));
  return {};
}

}  // namespace nimbus::image
