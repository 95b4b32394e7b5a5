#include "agent/scratch_disk.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "os/process.h"
#include "os/unique_fd.h"

namespace nimbus::agent {
namespace {

constexpr const char* kMkfs = "/sbin/mke2fs";
constexpr Duration kMkfsTime = std::chrono::seconds(60);

Result<void> make_file_system(const std::string& path) {
  os::SpawnOptions options;
  // Nothing on this disk outlives its VM: no journal, no reserve for root, tables made when used.
  options.argv = {kMkfs,
                  "-q",
                  "-F",
                  "-t",
                  "ext4",
                  "-m",
                  "0",
                  "-O",
                  "^has_journal",
                  "-E",
                  "lazy_itable_init=1,nodiscard,root_owner=0:0",
                  path};
  options.environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "MKE2FS_CONFIG=/dev/null"};
  auto process = TRY_IN("running mke2fs", os::Process::spawn(options));
  const auto exit = process.wait_exit_blocking(kMkfsTime);
  if (!exit) {
    process.kill();
    return fail(Code::unavailable, "mke2fs did not end within a minute");
  }
  if (exit->code != 0) {
    return fail(Code::unavailable, "mke2fs ended with " + os::to_text(*exit), "is the disk full?");
  }
  return {};
}

Result<void> make_template(const std::string& path, int size_mb) {
  const std::string part = path + ".part";
  {
    const os::UniqueFd fd(::open(part.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!fd || ::ftruncate(fd.get(), off_t{size_mb} << 20) != 0) {
      return fail(errno_error("make " + part, errno));
    }
  }
  TRY(make_file_system(part));
  if (::rename(part.c_str(), path.c_str()) != 0) return fail(errno_error("rename " + part, errno));
  return {};
}

// Copies what is written, leaves the holes.
Result<void> copy_sparse(int from, int to, off_t size) {
  if (::ioctl(to, FICLONE, from) == 0) return {};
  if (::ftruncate(to, size) != 0) return fail(errno_error("size the disk", errno));
  for (off_t at = 0; at < size;) {
    const off_t data = ::lseek(from, at, SEEK_DATA);
    if (data < 0) break;  // only holes are left
    const off_t end = ::lseek(from, data, SEEK_HOLE);
    if (end < 0) return fail(errno_error("find a hole", errno));
    off_t in = data, out = data;
    while (in < end) {
      const ssize_t count =
          ::copy_file_range(from, &in, to, &out, static_cast<size_t>(end - in), 0);
      if (count < 0) return fail(Code::unavailable, errno_error("copy the disk", errno).message);
      if (count == 0) return fail(Code::corrupt, "the template disk became shorter");
    }
    at = end;
  }
  return {};
}

}  // namespace

Result<void> make_scratch_disk(const std::string& template_directory, int size_mb,
                               const std::string& path) {
  const std::string source = template_directory + "/scratch-" + std::to_string(size_mb) + ".ext4";
  if (::access(source.c_str(), F_OK) != 0) {
    TRY_IN("making the scratch disk's template", make_template(source, size_mb));
  }
  const os::UniqueFd from(::open(source.c_str(), O_RDONLY | O_CLOEXEC));
  if (!from) return fail(errno_error("open " + source, errno));
  (void)::unlink(path.c_str());
  const os::UniqueFd to(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!to) return fail(errno_error("make " + path, errno));
  auto copied = copy_sparse(from.get(), to.get(), off_t{size_mb} << 20);
  if (!copied) (void)::unlink(path.c_str());
  return copied;
}

}  // namespace nimbus::agent
