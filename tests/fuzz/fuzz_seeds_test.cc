// Every fuzz target reads its seeds, those of its name under corpus/. A target says that something
// is wrong by aborting.
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#define SEEDS(target) extern "C" int target(const uint8_t* data, size_t size);
#include "fuzz_targets.inc"
#undef SEEDS

namespace {

using Target = int (*)(const uint8_t*, size_t);

const std::string kSource = NIMBUS_SOURCE_DIR;

std::vector<std::string> files_in(const std::string& folder) {
  std::vector<std::string> paths;
  if (!std::filesystem::exists(folder)) return paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_regular_file()) paths.push_back(entry.path().string());
  }
  return paths;
}

void read_seeds(std::string_view name, Target target) {
  auto paths = files_in(kSource + "/tests/fuzz/corpus/" + std::string(name));
  CHECK_MESSAGE(!paths.empty(), name << " has no seeds");
  if (name == "webhook_fuzz") {
    for (auto& path : files_in(kSource + "/tests/golden/webhooks")) paths.push_back(path);
  }
  target(nullptr, 0);
  for (const std::string& path : paths) {
    CAPTURE(path);
    std::ifstream file(path, std::ios::binary);
    // Exactly as large as the input, so that reading past its end is seen by AddressSanitizer.
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    CHECK(target(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()) == 0);
  }
}

}  // namespace

TEST_CASE("every fuzz target reads its seeds") {
#define SEEDS(target) \
  SUBCASE(#target) { read_seeds(#target, target); }
#include "fuzz_targets.inc"
#undef SEEDS
}
