#include "vm/monitor_start.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "os/atomic_file.h"
#include "os/cgroup.h"
#include "os/slot_network.h"

namespace nimbus::vm {

namespace {

Result<sockaddr_un> socket_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return fail(Code::bad_request, path + " is too long for a socket");
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

// A listening socket with our own connection already waiting in it: QEMU finds us connected when it
// starts, so nobody polls for a socket to appear, and no byte of the console is lost.
struct Endpoint {
  os::UniqueFd listening;
  os::UniqueFd connected;
};
Result<Endpoint> make_endpoint(const std::string& path) {
  const auto address = TRY(socket_address(path));
  if (::unlink(path.c_str()) != 0 && errno != ENOENT)
    return fail(errno_error("removing " + path, errno));
  Endpoint endpoint;
  endpoint.listening.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!endpoint.listening ||
      ::bind(endpoint.listening.get(), reinterpret_cast<const sockaddr*>(&address),
             sizeof address) != 0 ||
      ::chmod(path.c_str(), 0600) != 0 || ::listen(endpoint.listening.get(), 1) != 0)
    return fail(errno_error("listening on " + path, errno));
  endpoint.connected = TRY(connect_socket(path));
  return endpoint;
}

}  // namespace

std::string qmp_socket(const std::string& directory) { return directory + "/qmp.sock"; }
std::string console_socket(const std::string& directory) { return directory + "/console.sock"; }
std::string console_file(const std::string& directory) { return directory + "/console.ring"; }
std::string root_directory(const std::string& directory) { return directory + "/root"; }

Result<os::UniqueFd> connect_socket(const std::string& path) {
  const auto address = TRY(socket_address(path));
  os::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd ||
      ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    Error error = errno_error("connecting to " + path, errno);
    error.code = Code::unavailable;
    return fail(std::move(error));
  }
  return fd;
}

Result<void> remove_machine_files(const std::string& directory) {
  for (const auto& path : {qmp_socket(directory), console_socket(directory),
                           console_file(directory), root_directory(directory)})
    TRY(os::remove_tree(path));
  return {};
}

Result<StartedMonitor> start_monitor(const MachineSpec& spec, const QemuLaunch& launch) {
  auto qmp = TRY(make_endpoint(qmp_socket(spec.directory)));
  auto console = TRY(make_endpoint(console_socket(spec.directory)));
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return fail(errno_error("making a pipe", errno));
  os::UniqueFd errors(pipe[0]);
  const os::UniqueFd errors_end(pipe[1]);

  os::SpawnOptions options;
  options.argv = qemu_arguments(spec, launch);
  options.fds = {
      {errors_end.get(), 2}, {qmp.listening.get(), kQmpFd}, {console.listening.get(), kConsoleFd}};
  os::UniqueFd tap;
  if (spec.network) {
    tap = TRY(os::open_tap(spec.network->namespace_path, spec.network->tap_name));
    options.fds.emplace_back(tap.get(), kTapFd);
    options.network_namespace = spec.network->namespace_path;
  }
  if (!spec.cgroup.empty()) options.cgroup_procs = TRY(os::Cgroup::open(spec.cgroup)).procs_files();
  if (!launch.empty_directory.empty()) TRY(os::make_directories(launch.empty_directory, 0555));
  auto process = TRY(os::Process::spawn(options));
  return StartedMonitor{std::move(process), std::move(qmp.connected), std::move(console.connected),
                        std::move(errors)};
}

}  // namespace nimbus::vm
