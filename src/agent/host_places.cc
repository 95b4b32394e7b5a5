#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <mutex>

#include "agent/dead_instances.h"
#include "agent/places.h"
#include "agent/scratch_disk.h"
#include "base/hash.h"
#include "base/log.h"
#include "os/atomic_file.h"
#include "os/cgroup.h"
#include "os/process.h"
#include "os/slot_network.h"

namespace nimbus::agent {
namespace {

// Of the monitors, one each, so that no two can touch one another; no account has such numbers.
constexpr uid_t kFirstUid = 0x6e620000;
constexpr uint16_t kDnsPort = 53;
constexpr uint32_t kPidsMax = 512;  // threads of one monitor
constexpr Duration kDeathTime = std::chrono::seconds(10);

std::vector<int> numbers_in(const std::string& directory, std::string_view prefix) {
  std::vector<int> numbers;
  DIR* folder = ::opendir(directory.c_str());
  if (folder == nullptr) return numbers;
  while (const dirent* entry = ::readdir(folder)) {
    const std::string_view name = entry->d_name;
    if (!name.starts_with(prefix)) continue;
    int number = -1;
    const std::string_view digits = name.substr(prefix.size());
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error == std::errc() && end == digits.data() + digits.size()) numbers.push_back(number);
  }
  ::closedir(folder);
  return numbers;
}

class HostPlaces final : public Places {
 public:
  HostPlaces(HostPlacesOptions options, os::SlotNetworks networks, bool cgroups, os::LockFile alive)
      : options_(std::move(options)),
        networks_(std::move(networks)),
        cgroups_(cgroups),
        alive_(std::move(alive)) {}

  Place describe(int index) const override {
    Place place;
    place.index = index;
    place.name = "slot-" + std::to_string(index);
    place.directory = options_.run_directory + "/" + place.name;
    const os::SlotNetwork network = networks_.describe(index);
    place.network =
        vm::Network{network.namespace_path, std::string(os::kTapName), std::string(os::kGuestMac)};
    if (cgroups_) place.cgroup = cgroup_parent() + "/" + place.name;
    if (::geteuid() == 0) place.uid = kFirstUid + static_cast<uid_t>(index);
    return place;
  }

  Result<Place> make(int index) override {
    TRY(remove(index));
    Place place = describe(index);
    TRY(os::make_directories(place.directory));
    TRY_IN("making the slot's network", networks_.create(index));
    if (cgroups_) TRY_IN("making the slot's cgroup", os::Cgroup::create(place.cgroup, {}));
    return place;
  }

  Result<void> limit(const Place& place, PlaceSize size) override {
    if (place.cgroup.empty()) return {};
    os::CgroupLimits limits;
    limits.memory_bytes_max = (static_cast<uint64_t>(size.memory_mb) + options_.overhead_mb) << 20U;
    limits.cpus = size.cpus + 0.5;  // the half is for the devices
    limits.pids_max = kPidsMax;
    TRY(os::Cgroup::create(place.cgroup, limits));
    return {};
  }

  Result<os::UniqueFd> listen(const Place& place) override {
    return os::listen_tcp_in(place.network->namespace_path, os::kGatewayAddress, 80);
  }

  Result<os::UniqueFd> listen_dns(const Place& place) override {
    if (!options_.egress) return os::UniqueFd();
    return os::bind_udp_in(place.network->namespace_path, os::kGatewayAddress, kDnsPort);
  }

  Result<std::string> make_scratch(const Place& place, int disk_mb) override {
    std::string path = options_.directory + "/scratch-" + std::to_string(place.index);
    const std::lock_guard lock(templates_);
    TRY(make_scratch_disk(options_.directory, disk_mb, path));
    return path;
  }

  Result<void> remove(int index) override {
    const Place place = describe(index);
    TRY(kill_inhabitants(place));
    TRY(networks_.destroy(index));
    if (cgroups_) TRY(remove_cgroup(place));
    TRY(os::remove_tree(place.directory));
    (void)::unlink((options_.directory + "/scratch-" + std::to_string(index)).c_str());
    return {};
  }

  Result<std::vector<int>> list() override {
    std::vector<int> found = numbers_in(options_.run_directory, "slot-");
    for (const int index : numbers_in(options_.directory, "scratch-")) found.push_back(index);
    for (const os::SlotNetwork& network : TRY(networks_.list_slots()))
      found.push_back(network.index);
    if (cgroups_) {
      for (const std::string& name : TRY(os::Cgroup::list(cgroup_parent()))) {
        const size_t dash = name.rfind('-');
        if (name.starts_with("slot-")) found.push_back(std::atoi(name.c_str() + dash + 1));
      }
    }
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    return found;
  }

  Result<void> close() override {
    if (!TRY(list()).empty()) return {};
    TRY(networks_.close());
    if (cgroups_) {
      if (auto parent = os::Cgroup::open(cgroup_parent())) TRY(parent->remove());
    }
    forget_instance(options_.run_directory);
    return {};
  }

 private:
  std::string cgroup_parent() const { return "nimbus-" + options_.instance; }

  // A process is of this place when it is in its cgroup or in its network namespace, whatever it is
  // called and whoever started it.
  Result<void> kill_inhabitants(const Place& place) {
    if (cgroups_) {
      if (auto group = os::Cgroup::open(place.cgroup)) TRY(group->kill());
    }
    struct stat handle{};
    if (::stat(place.network->namespace_path.c_str(), &handle) != 0) return {};
    for (const int pid : numbers_in("/proc", "")) {
      struct stat its{};
      const std::string path = "/proc/" + std::to_string(pid) + "/ns/net";
      if (::stat(path.c_str(), &its) != 0 || its.st_ino != handle.st_ino ||
          its.st_dev != handle.st_dev || pid == ::getpid()) {
        continue;
      }
      auto process = os::read_process_identity(pid);
      if (!process) continue;
      if (auto adopted = os::Process::adopt(*process)) {
        log_warn("killing a process left in a slot", {{"slot", place.index}, {"pid", pid}});
        adopted->kill();
        (void)adopted->wait_exit_blocking(kDeathTime);
      }
    }
    return {};
  }

  Result<void> remove_cgroup(const Place& place) {
    auto group = os::Cgroup::open(place.cgroup);
    if (!group) return {};
    Result<void> removed;
    // What was killed takes a moment to leave.
    for (int tries = 0; tries < 200; ++tries) {
      removed = group->remove();
      if (removed || removed.error().code != Code::conflict) break;
      (void)::usleep(10'000);
    }
    return removed;
  }

  HostPlacesOptions options_;
  os::SlotNetworks networks_;
  bool cgroups_;
  os::LockFile alive_;
  std::mutex templates_;  // two slots may want the same one first
};

}  // namespace

std::string instance_name(std::string_view directory) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz234567";
  const std::string digest = sha256(directory);
  std::string name;
  for (size_t i = 0; i < 6; ++i) name += kLetters[static_cast<uint8_t>(digest[i]) % 32];
  return name;
}

Result<std::unique_ptr<Places>> make_host_places(HostPlacesOptions options) {
  TRY(os::make_directories(options.directory));
  TRY(os::make_directories(options.run_directory));
  os::LockFile alive = TRY_IN("starting the agent", hold_instance(options.run_directory));
  os::SlotNetworkOptions network;
  network.instance = options.instance;
  network.egress = options.egress;
  if (options.egress) network.gateway_udp_ports = {kDnsPort};
  auto networks =
      TRY_IN("preparing the slots' networks", os::SlotNetworks::open(std::move(network)));
  const os::CgroupSupport support = os::Cgroup::find_support();
  const bool cgroups = support.kind != os::CgroupKind::unavailable;
  if (!cgroups) {
    log_warn("no control groups: microVMs run without memory and CPU limits of the host's",
             {{"reason", support.detail}});
  }
  if (cgroups && !options.run_root.empty()) {
    remove_dead_instances(options.instance, options.run_root);
  }
  return std::unique_ptr<Places>(std::make_unique<HostPlaces>(
      std::move(options), std::move(networks), cgroups, std::move(alive)));
}

}  // namespace nimbus::agent
