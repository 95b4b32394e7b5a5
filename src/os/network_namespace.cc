#include "os/network_namespace.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "os/unique_fd.h"

namespace nimbus::os {

namespace {

Error namespace_error(const std::string& what, int error) {
  Error result = errno_error(what, error);
  if (error == EPERM) {
    result.code = Code::forbidden;
    result.hint = "run as root, or with CAP_SYS_ADMIN and CAP_NET_ADMIN";
  }
  return result;
}

// A thread that has changed its namespace is never used again.
Result<void> run_on_thread(const std::function<Result<void>()>& call) {
  Result<void> result;
  std::thread thread([&] { result = call(); });
  thread.join();
  return result;
}

}  // namespace

Result<void> make_network_namespace(const std::string& path,
                                    const std::function<Result<void>()>& set_up) {
  const std::string what = "making network namespace " + path;
  UniqueFd handle(::open(path.c_str(), O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444));
  if (!handle) {
    Error error = namespace_error(what, errno);
    if (errno == EEXIST) error.code = Code::conflict;
    return fail(std::move(error));
  }
  auto made = run_on_thread([&]() -> Result<void> {
    if (::unshare(CLONE_NEWNET) != 0) return fail(namespace_error(what, errno));
    if (::mount("/proc/thread-self/ns/net", path.c_str(), nullptr, MS_BIND, nullptr) != 0)
      return fail(namespace_error(what, errno));
    return set_up();
  });
  if (!made) (void)remove_network_namespace(path);
  return made;
}

Result<void> remove_network_namespace(const std::string& path) {
  if (::umount2(path.c_str(), MNT_DETACH) != 0 && errno != EINVAL && errno != ENOENT)
    return fail(namespace_error("removing network namespace " + path, errno));
  if (::unlink(path.c_str()) != 0 && errno != ENOENT)
    return fail(namespace_error("removing network namespace " + path, errno));
  return {};
}

Result<void> run_in_network_namespace(const std::string& path,
                                      const std::function<Result<void>()>& call) {
  const std::string what = "entering network namespace " + path;
  const UniqueFd handle(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!handle) {
    Error error = namespace_error(what, errno);
    if (errno == ENOENT) error.code = Code::not_found;
    return fail(std::move(error));
  }
  return run_on_thread([&]() -> Result<void> {
    if (::setns(handle.get(), CLONE_NEWNET) != 0) return fail(namespace_error(what, errno));
    return call();
  });
}

}  // namespace nimbus::os
