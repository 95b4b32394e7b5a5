// The data directory of `nimbus up`: made whole on first use, owned by one process at a time.
// It holds admin.token, webhook.secret and job-token.key (mode 0600, made once and never shown),
// nimbus.toml, the databases, and a lock. What Nimbus made in it is its owner's alone, whatever the
// directory's own mode is; whoever makes more files there does so under umask 077.
//
// Threads: start-up only (blocking).
#pragma once

#include <optional>
#include <string>

#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "os/lock_file.h"

namespace nimbus::cli {

class DataDirectory {
 public:
  // Opens it, making what is missing. conflict: another process uses it (named by pid).
  // unavailable: it cannot be written; the message names the file.
  static Result<DataDirectory> open(const std::string& path, Random& random);

  // Absolute, so that a later chdir or another process means the same.
  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  bool is_new() const { return is_new_; }

  Secret admin_token() const { return admin_token_; }
  Secret job_token_key() const { return job_token_key_; }

 private:
  DataDirectory(std::string path, os::LockFile lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}

  std::string path_;
  os::LockFile lock_;
  bool is_new_ = false;
  Secret admin_token_;
  Secret job_token_key_;
};

constexpr const char* kDataDirectoryDefault = "nimbus-data";

}  // namespace nimbus::cli
