// The webhook payloads of tests/golden/webhooks, for tests. Threads: any.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace nimbus::control {

struct WebhookFixture {
  std::string delivery;
  std::string event;
  std::string file;
  std::string signature;  // with kFixtureSecret, over the file's bytes
};

constexpr std::string_view kFixtureSecret = "nimbus-test-secret";

std::vector<WebhookFixture> webhook_fixtures();
std::string fixture_body(std::string_view file);
// The body with every RFC 3339 time in it replaced by `now`.
std::string moved_to(std::string_view body, Time now);
// "sha256=…" over `body`.
std::string fixture_signature(std::string_view body, std::string_view secret = kFixtureSecret);

}  // namespace nimbus::control
