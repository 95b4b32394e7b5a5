#include "control/labels.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/text.h"

namespace nimbus::control {
namespace {

constexpr std::array<std::string_view, 3> kOurMachines = {"self-hosted", "linux", "x64"};
constexpr std::string_view kParameterPrefix = "param:";
constexpr std::string_view kMetadataPrefix = "meta:";
constexpr int kMbPerGb = 1024;

struct Size {
  std::optional<int> cpus;
  std::optional<int> memory_mb;
};

// "4cpu" with unit "cpu": 4. Digits only, no leading zero.
std::optional<int> find_count(std::string_view part, std::string_view unit, int most) {
  if (!part.ends_with(unit)) return std::nullopt;
  part.remove_suffix(unit.size());
  if (part.empty() || part.front() == '0') return std::nullopt;
  int count = 0;
  const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), count);
  if (error != std::errc() || end != part.data() + part.size()) return std::nullopt;
  if (count < 1 || count > most) return std::nullopt;
  return count;
}

// `label` in lower case: "nimbus-4cpu-8gb".
std::optional<Size> find_size(std::string_view label) {
  std::vector<std::string_view> parts = split(label, '-');
  if (parts.size() < 2 || parts.size() > 3 || parts[0] != kDefaultProfile) return std::nullopt;
  Size size;
  for (size_t i = 1; i < parts.size(); ++i) {
    if (const auto cpus = find_count(parts[i], "cpu", kCpusMax); cpus && !size.cpus && i == 1) {
      size.cpus = cpus;
    } else if (const auto gb = find_count(parts[i], "gb", kMemoryMbMax / kMbPerGb);
               gb && !size.memory_mb) {
      size.memory_mb = *gb * kMbPerGb;
    } else {
      return std::nullopt;
    }
  }
  return size;
}

const Profile* find_profile(std::span<const Profile> profiles, std::string_view name) {
  for (const Profile& profile : profiles) {
    if (equal_ignoring_case(profile.name, name)) return &profile;
  }
  return nullptr;
}

bool is_plain_text(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

// "key=value" of a param: or meta: label.
bool read_pair(std::string_view text, bool value_required, LabelMatch& match, bool is_parameter) {
  const size_t equals = text.find('=');
  if (equals == text.npos && value_required) return false;
  const std::string key(text.substr(0, equals));
  const std::string value(equals == text.npos ? "true" : text.substr(equals + 1));
  if (!is_metadata_key(key) || value.size() > kMetadataValueBytesMax || !is_plain_text(value)) {
    return false;
  }
  if (match.metadata.size() >= kMetadataMax) return false;
  match.metadata[key] = value;
  if (is_parameter) match.env[parameter_variable(key)] = value;
  return true;
}

// Collects what the labels say until one contradicts.
class Reader {
 public:
  explicit Reader(std::span<const Profile> profiles) : profiles_(profiles) {}

  bool read(const std::string& label) {
    if (label.size() > kLabelBytesMax) return false;
    const std::string lower = to_lower(label);
    if (std::find(kOurMachines.begin(), kOurMachines.end(), lower) != kOurMachines.end()) {
      return true;
    }
    if (lower.starts_with(kParameterPrefix)) {
      return read_pair(std::string_view(label).substr(kParameterPrefix.size()), true, match_, true);
    }
    if (lower.starts_with(kMetadataPrefix)) {
      return read_pair(std::string_view(label).substr(kMetadataPrefix.size()), false, match_,
                       false);
    }
    if (const Profile* profile = find_profile(profiles_, lower)) return choose(*profile);
    const auto size = find_size(lower);
    const Profile* base = find_profile(profiles_, kDefaultProfile);
    if (!size || base == nullptr) return false;
    if (size->cpus) size_.cpus = size->cpus;
    if (size->memory_mb) size_.memory_mb = size->memory_mb;
    if (match_.profile == nullptr) match_.profile = base;
    return true;
  }

  std::optional<LabelMatch> finish() {
    if (match_.profile == nullptr) return std::nullopt;
    match_.resources = match_.profile->resources;
    if (size_.cpus) match_.resources.cpus = *size_.cpus;
    if (size_.memory_mb) match_.resources.memory_mb = *size_.memory_mb;
    return std::move(match_);
  }

 private:
  bool choose(const Profile& profile) {
    const bool is_default = equal_ignoring_case(profile.name, kDefaultProfile);
    if (match_.profile == nullptr || match_.profile == &profile ||
        equal_ignoring_case(match_.profile->name, kDefaultProfile)) {
      match_.profile = &profile;
      return true;
    }
    return is_default;  // beside a more particular profile it adds nothing
  }

  std::span<const Profile> profiles_;
  LabelMatch match_;
  Size size_;
};

}  // namespace

bool is_metadata_key(std::string_view key) {
  return !key.empty() && key.size() <= kMetadataKeyBytesMax &&
         std::all_of(key.begin(), key.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-' || c == '.';
         });
}

std::string parameter_variable(std::string_view key) {
  std::string name = "NIMBUS_PARAM_";
  for (const char c : key) {
    const bool letter = (c >= 'a' && c <= 'z');
    const bool keep = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    name += letter ? static_cast<char>(c - 'a' + 'A') : keep ? c : '_';
  }
  return name;
}

std::optional<LabelMatch> match_labels(std::span<const std::string> labels,
                                       std::span<const Profile> profiles, std::string* why) {
  Reader reader(profiles);
  for (const std::string& label : labels) {
    if (reader.read(label)) continue;
    if (why != nullptr) *why = "label '" + label.substr(0, 64) + "' is not ours";
    return std::nullopt;
  }
  auto match = reader.finish();
  if (!match && why != nullptr) *why = "no label names a profile or a size";
  return match;
}

}  // namespace nimbus::control
