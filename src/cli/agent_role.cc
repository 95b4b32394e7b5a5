#include "cli/agent_role.h"

#include "base/log.h"
#include "vm/qemu.h"

namespace nimbus::cli {
namespace {

constexpr std::string_view kWarmProfile = "nimbus";
constexpr std::string_view kRunRoot = "/run";

Result<void> check_files(const Installation& installation) {
  if (installation.kernel.empty()) {
    return fail(Code::unavailable, "the guest kernel is not there",
                "run `make build`, or set agent.kernel");
  }
  if (installation.initramfs.empty()) {
    return fail(Code::unavailable, "the guest initramfs is not there",
                "run `make build`, or set agent.initramfs");
  }
  return {};
}

Result<std::unique_ptr<vm::Driver>> make_driver(net::Loop& loop, const AgentRoleOptions& options) {
  if (options.config.agent.vmm == "firecracker") {
    return fail(Code::unavailable, "agent.vmm is firecracker, which this build does not have",
                "set agent.vmm to auto or qemu");
  }
  return vm::make_qemu_driver(loop, {.cache_directory = options.directory + "/vmm"});
}

agent::AgentOptions agent_options(const AgentRoleOptions& options,
                                  const std::string& run_directory) {
  const Config& config = options.config;
  agent::AgentOptions wanted;
  wanted.server = options.server;
  wanted.name = config.agent.name;
  wanted.ca_file = config.agent.ca_file;
  wanted.enrollment_token = options.enrollment_token;
  wanted.issue_enrollment_token = options.issue_enrollment_token;
  wanted.directory = options.directory;
  wanted.run_directory = run_directory;
  wanted.slots = static_cast<int>(config.agent.slots);
  wanted.warm = static_cast<int>(config.agent.warm);
  if (const auto profile = config.profiles.find(std::string(kWarmProfile));
      profile != config.profiles.end()) {
    wanted.warm_shape = {profile->second.image, static_cast<int>(profile->second.cpus),
                         static_cast<int>(profile->second.memory_mb),
                         static_cast<int>(profile->second.disk_mb)};
  }
  wanted.kernel = options.installation.kernel;
  wanted.initramfs = options.installation.initramfs;
  wanted.version = NIMBUS_VERSION;
  wanted.spool_bytes_max = static_cast<uint64_t>(config.agent.spool_bytes_max);
  return wanted;
}

}  // namespace

Result<std::unique_ptr<AgentRole>> AgentRole::start(net::Loop& loop, Metrics& metrics,
                                                    const AgentRoleOptions& options) {
  TRY(check_files(options.installation));
  std::unique_ptr<AgentRole> role(new AgentRole);
  // Socket paths are short by nature, data directories are not.
  const std::string instance = agent::instance_name(options.directory);
  const std::string run_directory = std::string(kRunRoot) + "/nimbus-" + instance;
  role->images_ = TRY(image::Store::open({.directory = options.directory + "/images",
                                          .archives = options.installation.image_archives}));
  role->driver_ = TRY(make_driver(loop, options));
  role->places_ = TRY(agent::make_host_places({.instance = instance,
                                               .directory = options.directory,
                                               .run_directory = run_directory,
                                               .run_root = std::string(kRunRoot)}));
  agent::ImageLookup lookup =
      [store = role->images_.get()](const std::string& name) -> Result<agent::ImageRoot> {
    const image::Image image = TRY(store->ensure(name));
    const image::RootFilesystem root = TRY(store->root_filesystem(name));
    return agent::ImageRoot{root.path, image.config.env};
  };
  agent::AgentOptions wanted = agent_options(options, run_directory);
  wanted.import_image = [store = role->images_.get()](const std::string& layout,
                                                      const std::string& name) -> Result<void> {
    TRY(store->import_archive(layout, name));
    return {};
  };
  role->agent_ = TRY(agent::Agent::open(
      {loop, *role->driver_, *role->places_, system_clock(), system_random(), metrics},
      std::move(wanted), std::move(lookup)));
  loop.spawn(role->run(), "agent");
  return role;
}

Task<void> AgentRole::run() {
  const Result<void> ended = co_await agent_->run();
  stopped_ = true;
  if (!ended) {
    failure_ = ended.error().message;
    if (!ended.error().hint.empty()) failure_ += "; " + ended.error().hint;
    log_error("the agent ended", ended.error());
  }
}

}  // namespace nimbus::cli
