#include "cli/installation.h"

#include <unistd.h>

#include <array>
#include <climits>

#include "base/text.h"

namespace nimbus::cli {
namespace {

bool exists(const std::string& path) { return access(path.c_str(), R_OK) == 0; }

std::string this_program() {
  std::array<char, PATH_MAX> buffer{};
  const ssize_t size = readlink("/proc/self/exe", buffer.data(), buffer.size() - 1);
  return size <= 0 ? std::string() : std::string(buffer.data(), static_cast<size_t>(size));
}

// `configured` when it is not empty, else the first candidate that exists, else "".
Result<std::string> find_file(std::string_view key, const std::string& configured,
                              const std::vector<std::string>& candidates) {
  if (!configured.empty()) {
    if (exists(configured)) return configured;
    return fail(Code::bad_request, std::string(key) + ": cannot read " + configured);
  }
  for (const auto& candidate : candidates) {
    if (exists(candidate)) return candidate;
  }
  return std::string();
}

}  // namespace

Result<Installation> find_installation(const Config& config) {
  Installation found;
  found.program = this_program();
  const std::string folder = found.program.substr(0, found.program.rfind('/'));
  const std::string share = folder + "/../share/nimbus";
  found.kernel = TRY(find_file("agent.kernel", config.agent.kernel,
                               {folder + "/guest/vmlinuz", share + "/guest/vmlinuz"}));
  found.initramfs =
      TRY(find_file("agent.initramfs", config.agent.initramfs,
                    {folder + "/guest/initramfs.cpio.lz4", share + "/guest/initramfs.cpio.lz4"}));
  found.libchdb = TRY(find_file("telemetry.libchdb", config.telemetry.libchdb,
                                {folder + "/libchdb.so", folder + "/../lib/nimbus/libchdb.so"}));
  if (!config.agent.image_archives.empty()) {
    for (const auto part : split(config.agent.image_archives, ':')) {
      if (part.empty()) continue;
      if (!exists(std::string(part))) {
        return fail(Code::bad_request, "agent.image_archives: cannot read " + std::string(part));
      }
      found.image_archives.emplace_back(part);
    }
    return found;
  }
  for (const auto& candidate : {folder + "/images", share + "/images"}) {
    if (exists(candidate)) found.image_archives.push_back(candidate);
  }
  return found;
}

}  // namespace nimbus::cli
