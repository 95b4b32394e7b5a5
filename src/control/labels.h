// What a job's `runs-on` labels ask for. A job is ours when one label names a profile or a size and
// every other label is one that our machines can honour:
//
//   nimbus, NAME                     the profile of that name ([profiles.NAME])
//   nimbus-4cpu, nimbus-8gb,
//   nimbus-4cpu-8gb                  the profile `nimbus` with that many CPUs and that much memory
//   self-hosted, linux, x64          what every machine of ours is
//   param:KEY=VALUE                  metadata KEY, and NIMBUS_PARAM_KEY in the job's environment
//   meta:KEY, meta:KEY=VALUE         metadata KEY (value "true" when left out)
//
// Case does not matter, except in values. Next to `nimbus` or a size, another profile's label wins;
// two other profiles contradict each other, and a label nobody knows means that the job is for
// somebody else.
//
// Threads: pure functions.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/job.h"

namespace nimbus::control {

constexpr std::string_view kDefaultProfile = "nimbus";
constexpr size_t kLabelsMax = 100;      // GitHub's own bound
constexpr size_t kLabelBytesMax = 512;  // GitHub's own is 256 characters
constexpr size_t kMetadataMax = 64;     // keys of a job
constexpr size_t kMetadataKeyBytesMax = 64;
constexpr size_t kMetadataValueBytesMax = 512;
constexpr int kCpusMax = 64;
constexpr int kMemoryMbMax = 512 * 1024;
constexpr int kDiskMbMax = 4 * 1024 * 1024;

// What a label stands for: an image, its entry command, its size and its limits.
struct Profile {
  std::string name;
  std::string image = "nimbus/base";
  std::vector<std::string> entry = {};  // the job's command
  model::Resources resources = {};
  int timeout_s = 3600;
};

struct LabelMatch {
  const Profile* profile = nullptr;
  model::Resources resources;  // the profile's, or what a size label says
  std::map<std::string, std::string> metadata;
  std::map<std::string, std::string> env;  // NIMBUS_PARAM_*
};

// nullopt: not for us; `why`, when given, says it for the delivery's log line.
std::optional<LabelMatch> match_labels(std::span<const std::string> labels,
                                       std::span<const Profile> profiles,
                                       std::string* why = nullptr);

// Letters, digits, `_`, `-` and `.`, at most kMetadataKeyBytesMax bytes.
bool is_metadata_key(std::string_view key);
// "suite.name" → "NIMBUS_PARAM_SUITE_NAME".
std::string parameter_variable(std::string_view key);

}  // namespace nimbus::control
