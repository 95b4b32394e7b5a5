// Dependencies point down: a file includes its own folder and strictly lower layers only.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

namespace {

// Layer of each folder; siblings of one layer do not include each other.
const std::map<std::string, int> kLayers = {
    {"base", 0},      {"os", 1},        {"net", 1},   {"db", 1},    {"model", 2},
    {"access", 3},    {"api", 3},       {"blob", 3},  {"image", 3}, {"vm", 3},
    {"evals", 3},     {"control", 4},   {"agent", 4}, {"cache", 4}, {"registry", 4},
    {"telemetry", 4}, {"dashboard", 4}, {"guest", 4}, {"cli", 5}};

// The guest runs beside untrusted code and stays small.
const std::vector<std::string> kGuestMayUse = {"guest", "base", "os", "net", "model", "api"};

std::string included_folder(const std::string& line) {
  constexpr std::string_view kStart = "#include \"";
  if (!line.starts_with(kStart)) return {};
  const size_t slash = line.find('/');
  return slash == std::string::npos ? "" : line.substr(kStart.size(), slash - kStart.size());
}

bool allowed(const std::string& from, const std::string& to) {
  if (from == "guest")
    return std::find(kGuestMayUse.begin(), kGuestMayUse.end(), to) != kGuestMayUse.end();
  return from == to || kLayers.at(to) < kLayers.at(from);
}

}  // namespace

TEST_CASE("no folder includes an upper layer or a sibling") {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(NIMBUS_SOURCE_DIR)) {
    const auto extension = entry.path().extension();
    if (extension != ".h" && extension != ".cc") continue;
    const std::string from =
        std::filesystem::relative(entry.path(), NIMBUS_SOURCE_DIR).begin()->string();
    if (!kLayers.contains(from)) continue;
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) {
      const std::string to = included_folder(line);
      if (to.empty() || !kLayers.contains(to)) continue;
      CHECK_MESSAGE(allowed(from, to), entry.path().string(), " may not include ", line);
    }
  }
}

TEST_CASE("every folder of src has a layer") {
  for (const auto& entry : std::filesystem::directory_iterator(NIMBUS_SOURCE_DIR)) {
    if (entry.is_directory())
      CHECK_MESSAGE(kLayers.contains(entry.path().filename().string()), entry.path().string());
  }
}
