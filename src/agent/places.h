// What a slot is made of on the host: a network namespace with the gateway's address, a cgroup, a
// directory for sockets and one scratch disk. An interface, so that the agent's logic is tested
// without a privilege; HostPlaces is the real one.
//
// Places are known by their number: what an earlier life left is found and removed by it.
// Threads: calls block and may come from any thread, one at a time per place.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "os/unique_fd.h"
#include "vm/machine.h"

namespace nimbus::agent {

struct Place {
  int index = 0;
  std::string name;       // of the VM in it: "slot-0"
  std::string directory;  // for the VM's sockets; a short path
  std::optional<vm::Network> network;
  std::string cgroup;  // "" where there is none
  uid_t uid = 0;       // the monitor's user and group; 0: the agent's own
};

struct PlaceSize {
  int cpus = 1;
  int memory_mb = 512;
};

class Places {
 public:
  virtual ~Places() = default;
  // Makes the place new; what was there before is removed.
  virtual Result<Place> make(int index) = 0;
  // The names of the place `index`, made or not.
  virtual Place describe(int index) const = 0;
  // Bounds what the VM in it may take.
  virtual Result<void> limit(const Place& place, PlaceSize size) = 0;
  // A listening socket on the gateway's address inside it.
  virtual Result<os::UniqueFd> listen(const Place& place) = 0;
  // A UDP socket for DNS on the same address; none where guests may not go out.
  virtual Result<os::UniqueFd> listen_dns(const Place& place) = 0;
  // A new scratch disk; its path.
  virtual Result<std::string> make_scratch(const Place& place, int disk_mb) = 0;
  // Kills what runs in it and removes all of it. Absent is done.
  virtual Result<void> remove(int index) = 0;
  // The numbers of the places that exist, whoever made them.
  virtual Result<std::vector<int>> list() = 0;
  // Removes what places share, when none is left: for an agent that ends in order.
  virtual Result<void> close() = 0;
};

struct HostPlacesOptions {
  std::string instance;       // [a-z0-9]{1,6}, another for every agent of a host
  std::string directory;      // scratch disks and their templates
  std::string run_directory;  // sockets
  // Where every agent of the host has its run directory, nimbus-INSTANCE; empty: what dead ones
  // left is not looked for.
  std::string run_root = {};
  // Of memory, for the monitor itself. An emulator keeps up to 1 GiB of translated code.
  uint64_t overhead_mb = 1280;
  bool egress = true;
};

// Six letters that stand for a directory, so that agents with different ones do not meet.
std::string instance_name(std::string_view directory);

// forbidden, unavailable: this host or this process lacks something; the hint says what.
Result<std::unique_ptr<Places>> make_host_places(HostPlacesOptions options);

}  // namespace nimbus::agent
