// Bodies that operators and agents send to the control plane. What is accepted is within the named
// bounds; what is refused says why.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "control/job_request.h"
#include "control/lease_routes.h"
#include "control/webhook.h"
#include "control/workflow_run.h"

using namespace nimbus;
using namespace nimbus::control;

namespace {

void require(bool good) {
  if (!good) std::abort();
}

template <typename T>
void check_refusal(const Result<T>& result) {
  require(result || !result.error().message.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  const auto job = parse_job_request(body, JobDefaults{}, from_us(1'700'000'000'000'000));
  check_refusal(job);
  const auto poll = parse_poll(body);
  check_refusal(poll);
  if (poll) {
    require(poll->room.slots >= 0 && poll->room.slots <= kSlotsAskedMax);
    require(poll->wait.count() >= 0 && poll->wait <= std::chrono::seconds(kPollSecondsMax));
  }
  const auto event = parse_job_event(body);
  check_refusal(event);
  if (event) require(event->fence >= 0 && event->seq >= 0);
  check_refusal(parse_workflow_run(body));
  check_refusal(parse_webhook_secrets(body));
  return 0;
}
