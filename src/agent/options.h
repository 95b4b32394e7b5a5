// What an agent is told at its start; `cli` fills it from flags and configuration. Values.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"

namespace nimbus::agent {

// An image on this host, ready to be a disk.
struct ImageRoot {
  std::string squashfs;          // path, read-only, shared by all VMs
  std::vector<std::string> env;  // "NAME=value", what the image says its programs want
};
// Finds or makes the root file system of an image by its name. Blocks; runs on a thread for that.
using ImageLookup = std::function<Result<ImageRoot>(const std::string& image)>;

// Takes an OCI image layout that was pulled into the host's image store, under this name. Blocks.
using ImageImport = std::function<Result<void>(const std::string& layout, const std::string& name)>;

// The VMs that wait for a job; one that wants this image and size starts at once.
struct WarmShape {
  std::string image = "nimbus/base";
  int cpus = 2;
  int memory_mb = 2048;
  int disk_mb = 10240;
};

struct AgentOptions {
  std::string server;       // "http://127.0.0.1:8080", of control and all other roles
  std::string ca_file;      // extra trust when that is https; may be empty
  std::string name;         // shown to people; empty: the host's name
  Secret enrollment_token;  // needed once, while there is no credential that the server takes
  // Makes such a token, for an agent in its server's own process; may be empty. Blocks.
  std::function<Result<Secret>()> issue_enrollment_token;
  std::string directory;      // the agent's own: credential, journal, scratch disks, spool
  std::string run_directory;  // sockets of the VMs; a short path, made when absent
  int slots = 2;
  int warm = 0;  // of the slots
  WarmShape warm_shape;
  std::string kernel;
  std::string initramfs;
  std::string version;
  std::string resolver;  // address of the DNS server for guests; empty: the host's own
  uint64_t spool_bytes_max = uint64_t{1} << 30;
  ImageImport import_image;  // empty: images are not pulled

  Duration poll_wait = std::chrono::seconds(15);
  Duration boot_timeout = std::chrono::seconds(90);  // until the guest asks for its job
  Duration cancel_grace = std::chrono::seconds(1);   // between SIGTERM and SIGKILL in the guest
  // Past a job's time limit, for the guest to end it and say so; afterwards the VM is destroyed.
  Duration timeout_grace = std::chrono::seconds(10);
  Duration lease_grace = std::chrono::seconds(30);   // past the lease, while the server is away
  Duration report_hold = std::chrono::seconds(120);  // for spooled lines to go before the end does
  Duration retry_first = std::chrono::milliseconds(200);
  Duration retry_max = std::chrono::seconds(5);
};

}  // namespace nimbus::agent
