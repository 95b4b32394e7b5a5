#include "cli/data_directory.h"

#include <climits>
#include <cstdlib>
#include <functional>

#include "base/encoding.h"
#include "base/text.h"
#include "cli/config.h"
#include "os/atomic_file.h"

namespace nimbus::cli {
namespace {

constexpr size_t kSecretFileBytesMax = size_t{64} * 1024;
constexpr size_t kSecretBytes = 32;

Result<std::string> absolute(const std::string& path) {
  char resolved[PATH_MAX];
  if (realpath(path.c_str(), resolved) == nullptr) return fail(errno_error(path, errno));
  return std::string(resolved);
}

// The file's trimmed text; when it is absent, what `make` gives is written first.
Result<std::string> read_or_make(const std::string& path,
                                 const std::function<std::string()>& make) {
  auto text = os::read_file(path, kSecretFileBytesMax);
  if (text) {
    const std::string_view trimmed = trim(*text);
    if (trimmed.empty()) {
      return fail(Code::corrupt, path + " is empty", "remove it to have a new one made");
    }
    return std::string(trimmed);
  }
  if (text.error().code != Code::not_found) return fail(std::move(text).error());
  std::string fresh = make();
  TRY(os::write_file_atomically(path, fresh + "\n", 0600));
  return fresh;
}

}  // namespace

Result<DataDirectory> DataDirectory::open(const std::string& path, Random& random) {
  TRY_IN("making the data directory", os::make_directories(path, 0700));
  const std::string whole = TRY(absolute(path));
  auto lock = os::LockFile::acquire(whole + "/lock");
  if (!lock) {
    Error error = std::move(lock).error();
    error.hint = "stop that process, or give another --data directory";
    return fail(std::move(error).in("data directory " + whole));
  }
  DataDirectory directory(whole, std::move(*lock));
  const auto secret = [&] { return to_base64url(random.bytes(kSecretBytes)); };

  directory.is_new_ =
      !os::read_file(directory.file("admin.token"), kSecretFileBytesMax).has_value();
  directory.admin_token_ =
      Secret(TRY(read_or_make(directory.file("admin.token"), [&] { return "nbt_" + secret(); })));
  TRY(read_or_make(directory.file("webhook.secret"), secret));
  directory.job_token_key_ = Secret(TRY(read_or_make(directory.file("job-token.key"), secret)));
  const auto toml = os::read_file(directory.file("nimbus.toml"), kSecretFileBytesMax * 16);
  if (!toml && toml.error().code == Code::not_found) {
    TRY(os::write_file_atomically(directory.file("nimbus.toml"), config_template(), 0644));
  }
  return directory;
}

}  // namespace nimbus::cli
