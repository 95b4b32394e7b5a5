// The few file operations that image/ needs beyond os/: streams into new files, temporary
// directories that a crash cannot leave for ever, and locks that threads and processes wait for.
//
// Threads: free functions any; an object belongs to one thread at a time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "os/unique_fd.h"

namespace nimbus::image {

Result<os::UniqueFd> open_to_read(const std::string& path);  // follows no symlink at the end
Result<os::UniqueFd> create_new(const std::string& path, int mode = 0600);
Result<void> write_all(int fd, std::string_view bytes);
Result<void> sync_file(int fd, const std::string& path);
Result<void> sync_directory(const std::string& path);

Result<void> rename_file(const std::string& from, const std::string& to);
bool exists(const std::string& path);
int64_t file_size(const std::string& path);  // -1 when absent
// Regular files of a directory, by name; empty when there is none.
std::vector<std::string> file_names(const std::string& directory);

// A folder under `parent` that nobody else has, removed with everything in it by the destructor.
class TemporaryDirectory {
 public:
  static Result<TemporaryDirectory> make(const std::string& parent);
  ~TemporaryDirectory();
  TemporaryDirectory(TemporaryDirectory&& other) noexcept
      : path_(std::exchange(other.path_, "")), lock_(std::move(other.lock_)) {}
  TemporaryDirectory& operator=(TemporaryDirectory&&) = delete;
  const std::string& path() const { return path_; }
  std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  TemporaryDirectory(std::string path, os::UniqueFd lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}
  std::string path_;
  os::UniqueFd lock_;
};

// Removes the temporary directories under `parent` whose owners no longer live.
void remove_abandoned(const std::string& parent);

// An exclusive flock on `path`, held until destruction. It excludes threads as well as processes.
class FileLock {
 public:
  static Result<FileLock> take(const std::string& path);

 private:
  explicit FileLock(os::UniqueFd file) : file_(std::move(file)) {}
  os::UniqueFd file_;
};

}  // namespace nimbus::image
