#include "cli/data_directory.h"

#include <sys/stat.h>

#include <cerrno>
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
constexpr mode_t kOthers = 077;  // the group and everybody

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

// Earlier releases and other umasks left some of what Nimbus makes readable to everybody. Folders
// need no walk: their own mode closes what is in them. What others made (nimbus.toml, links) stays.
Result<void> close_to_others(const std::string& directory) {
  for (const char* name :
       {"nimbus.db", "nimbus.db-wal", "nimbus.db-shm", "admin.token", "webhook.secret",
        "job-token.key", "lock", "agent", "blobs", "clickhouse", "telemetry"}) {
    const std::string path = directory + "/" + name;
    struct stat status{};
    if (::lstat(path.c_str(), &status) != 0) {
      if (errno == ENOENT) continue;
      return fail(errno_error(path, errno));
    }
    if (S_ISLNK(status.st_mode) || (status.st_mode & kOthers) == 0) continue;
    if (::chmod(path.c_str(), status.st_mode & 07777 & ~kOthers) != 0) {
      return fail(errno_error("closing " + path + " to other users", errno));
    }
  }
  return {};
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
  TRY(close_to_others(whole));
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
    TRY(os::write_file_atomically(directory.file("nimbus.toml"), config_template(), 0600));
  }
  return directory;
}

}  // namespace nimbus::cli
