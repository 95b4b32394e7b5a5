// Bodies of signed deliveries: whatever the signer sends, parsing refuses or gives values within
// their bounds, and says the same thing twice.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "control/workflow_job.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  const auto first = nimbus::control::parse_workflow_job(body);
  const auto second = nimbus::control::parse_workflow_job(body);
  if (first.has_value() != second.has_value()) std::abort();
  if (!first && first.error().message.empty()) std::abort();
  (void)nimbus::control::parse_other_event(body);
  return 0;
}
