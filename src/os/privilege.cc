#include "os/privilege.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "base/text.h"
#include "os/atomic_file.h"
#include "os/cgroup.h"
#include "os/network_namespace.h"
#include "os/nft.h"
#include "os/slot_network.h"
#include "os/unique_fd.h"

namespace nimbus::os {

namespace {

HostCheck check_privileges() {
  HostCheck check{"privileges", true, true, "", "run the agent as root"};
  for (const auto& [capability, name] : {std::pair{CAP_NET_ADMIN, "CAP_NET_ADMIN"},
                                         {CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},
                                         {CAP_SETUID, "CAP_SETUID"},
                                         {CAP_KILL, "CAP_KILL"}}) {
    if (has_capability(capability)) continue;
    check.ok = false;
    check.detail += (check.detail.empty() ? "missing: " : ", ") + std::string(name);
  }
  if (check.ok) check.detail = ::geteuid() == 0 ? "root" : "by capabilities";
  return check;
}

HostCheck check_device(std::string_view name, const std::string& path, bool needed,
                       std::string hint) {
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  const int error = errno;
  HostCheck check{std::string(name), static_cast<bool>(fd), needed, path + " opens",
                  std::move(hint)};
  if (!fd) check.detail = errno_error("opening " + path, error).message;
  return check;
}

// Makes a namespace and loads a table there: what a slot does, and what a locked-down host refuses.
HostCheck check_namespace() {
  HostCheck check{"network namespaces and nftables", true, true, "made, filtered and removed",
                  "the kernel needs network namespaces and nf_tables"};
  const auto path = fmt::format("/run/nimbus-check-{}", ::getpid());
  auto made = make_network_namespace(path, []() -> Result<void> {
    return run_nft(
        "table inet nimbus_check {\n"
        "  chain check_input { type filter hook input priority 0; policy drop;\n"
        "    ct state established counter accept\n  }\n}\n");
  });
  if (made) made = remove_network_namespace(path);
  if (!made) {
    check.ok = false;
    check.detail = made.error().message;
  }
  return check;
}

HostCheck check_cgroup() {
  const auto support = Cgroup::find_support();
  const bool ok = support.kind != CgroupKind::unavailable;
  return {"cgroups", ok, false,
          std::string(to_string(support.kind)) +
              (support.detail.empty() ? "" : " (" + support.detail + ")"),
          "without them a machine's memory and CPU have no limit on the host"};
}

HostCheck check_forwarding() {
  const auto text = read_file("/proc/sys/net/ipv4/ip_forward", 16);
  const bool on = text && trim(*text) == "1";
  return {"IPv4 forwarding", true, false, on ? "on" : "off; the agent switches it on", ""};
}

}  // namespace

bool has_capability(int capability) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  if (::syscall(SYS_capget, &header, data.data()) != 0) return false;
  const auto word = static_cast<size_t>(capability / 32);
  return (data[word].effective & (1U << (capability % 32))) != 0;
}

std::vector<HostCheck> check_host() {
  return {check_privileges(),
          check_device("tun device", "/dev/net/tun", true, "load the module tun"),
          check_namespace(), check_cgroup(), check_forwarding()};
}

}  // namespace nimbus::os
