// A recipe says what is in an image: a folder with `image.toml` and the files it names. Everything
// in it is declarative: Debian packages, npm packages from a committed lock file, files, links,
// users and how the image runs. images/README.md shows the format.
//
// Threads: pure, but for reading the file.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "image/store.h"

namespace nimbus::image {

struct DebianPart {
  std::string suite;
  std::vector<std::string> packages;
  std::vector<std::string> exclude;  // paths dpkg does not unpack: "/usr/share/man/*"
};

struct UserPart {
  std::string name;
  uint32_t id = 0;
  std::string home;
  std::string shell = "/bin/bash";
};

// Files and folders copied into the image; folders keep their inner paths.
struct CopyPart {
  std::string from;  // absolute, resolved from the recipe's folder
  std::string to;
  std::vector<std::string> exclude;  // names left out, at any depth
};

// An npm folder with package.json and package-lock.json, installed as DIRECTORY/node_modules.
struct NpmPart {
  std::string from;
  std::string to;
};

// A package of ours: `npm ci`, `npm run build`, then the files its package.json lists.
struct NpmPackagePart {
  std::string from;
  std::string to;  // the folder that gets NAME/
};

struct DirectoryPart {
  std::string path;
  uint32_t mode = 0755;
  uint32_t owner = 0;  // user and group
};

struct Recipe {
  std::string folder;  // absolute
  std::string name;    // "nimbus/base"
  std::string summary;
  std::string from;  // folder of the recipe below, absolute; "" for none
  std::optional<DebianPart> debian;
  std::vector<UserPart> users;
  std::vector<CopyPart> copies;
  std::vector<NpmPart> npm;
  std::vector<NpmPackagePart> npm_packages;
  std::vector<DirectoryPart> directories;
  std::map<std::string, std::string> links;  // path in the image to the link's text
  std::map<std::string, uint32_t> modes;     // path in the image to permission bits
  std::vector<std::string> remove;           // paths deleted at the end
  ImageConfig config;                        // empty fields are inherited
  std::string text;                          // image.toml itself
};

// bad_request with file and line for anything image.toml may not say.
Result<Recipe> read_recipe(const std::string& folder);
Result<Recipe> parse_recipe(const std::string& text, const std::string& folder);

// "base" of "nimbus/base": how files made from the recipe are called.
std::string short_name(const Recipe& recipe);

}  // namespace nimbus::image
