// Files that people write: nimbus.toml, an image's recipe, and the small texts of the command line.
// A configuration that is accepted can be shown, and what is shown is the same configuration.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "cli/config.h"
#include "cli/job_print.h"
#include "cli/listen_address.h"
#include "image/recipe.h"
#include "model/image_reference.h"

using namespace nimbus;

namespace {

void require(bool good) {
  if (!good) std::abort();
}

const char* no_variable(const std::string&) { return nullptr; }

// Secrets are shown as ***, which is read as a secret again.
void check_config(std::string_view text) {
  const auto config = cli::parse_config(text, "nimbus.toml", no_variable);
  if (!config) {
    require(!config.error().message.empty());
    return;
  }
  const std::string shown = cli::config_toml(*config);
  const auto again = cli::parse_config(shown, "shown", no_variable);
  require(again && cli::config_toml(*again) == shown);
}

void check_reference(std::string_view text) {
  const auto reference = model::parse_image_reference(text);
  if (!reference) return;
  require(!reference->name.empty() || !reference->digest.empty());
  require(reference->name.find("..") == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  check_config(input);
  check_reference(input);
  (void)image::parse_recipe(std::string(input), "/recipe");
  (void)cli::parse_listen_address(input);
  (void)cli::parse_job_id(input);
  (void)cli::parse_seconds(input);
  (void)cli::parse_when(input, from_us(1'700'000'000'000'000));
  return 0;
}
