#include "control/lease_table.h"

#include <doctest/doctest.h>

using namespace nimbus;
using namespace nimbus::control;
using std::chrono::seconds;

namespace {

LiveLease lease(int64_t job, const std::string& agent = "a", Duration deadline = seconds(60)) {
  return {job, 1, agent, "acme", deadline, false, false};
}

}  // namespace

TEST_CASE("who watches a lease is woken once when it is cancelled or ends") {
  LeaseTable leases;
  leases.add(lease(1));
  leases.add(lease(2));
  int woken = 0;
  const auto first = leases.watch(1, [&] { ++woken; });
  const auto second = leases.watch(2, [&] { woken += 10; });
  leases.watch(2, [&] { woken += 100; });  // nobody holds this one
  leases.cancel(1);
  leases.cancel(1);
  CHECK_EQ(woken, 1);
  CHECK(leases.find(1)->cancel);
  leases.remove(2);
  CHECK_EQ(woken, 11);
  CHECK_EQ(leases.watch(3, [] {}), nullptr);
}

TEST_CASE("leases are found by agent and by deadline") {
  LeaseTable leases;
  leases.add(lease(1, "a", seconds(10)));
  leases.add(lease(2, "a", seconds(20)));
  leases.add(lease(3, "b", seconds(10)));
  CHECK_EQ(leases.of_agent("a"), std::vector<int64_t>{1, 2});
  CHECK_EQ(leases.expired(seconds(10)), std::vector<int64_t>{1, 3});
  leases.extend_all(seconds(15));
  CHECK(leases.expired(seconds(14)).empty());
  CHECK_EQ(leases.expired(seconds(20)).size(), 3);
  leases.remove(3);
  CHECK_EQ(leases.by_agent().size(), 1);
}
