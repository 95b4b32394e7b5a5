#include "os/privilege.h"

#include <doctest/doctest.h>
#include <linux/capability.h>

#include <algorithm>

#include "os/test_support.h"

using namespace nimbus;
using namespace nimbus::os;

TEST_CASE("every check of the host says what it saw, and a failed one what to do") {
  const auto checks = check_host();
  CHECK(checks.size() >= 5);
  for (const auto& check : checks) {
    CAPTURE(check.name);
    CHECK_FALSE(check.detail.empty());
    if (!check.ok) CHECK_FALSE(check.hint.empty());
  }
}

TEST_CASE("root has what slots need") {
  if (!is_root("only root has these capabilities")) return;
  CHECK(has_capability(CAP_NET_ADMIN));
  const auto checks = check_host();
  const auto network = std::find_if(checks.begin(), checks.end(), [](const HostCheck& check) {
    return check.name == "network namespaces and nftables";
  });
  REQUIRE(network != checks.end());
  CHECK_MESSAGE(network->ok, network->detail);
}
