#include "control/job_queue.h"

#include <doctest/doctest.h>

#include <map>

#include "base/fake_clock.h"

using namespace nimbus;
using namespace nimbus::control;

namespace {

Ticket ticket(int64_t job, int cpus = 2) { return {job, {cpus, 2048, 1024}, Time()}; }

std::vector<int64_t> jobs(const std::vector<Pick>& picks) {
  std::vector<int64_t> ids;
  for (const Pick& pick : picks) ids.push_back(pick.ticket.job);
  return ids;
}

struct Queue : JobQueue {
  explicit Queue(DispatchLimits limits = {}) : JobQueue(limits) {}
  FakeClock clock;
  std::vector<int64_t> take(int slots) { return jobs(pick({.slots = slots}, clock.now())); }
};

}  // namespace

TEST_CASE("within an org the oldest job goes first, a requeued one before younger ones") {
  Queue queue;
  for (const int64_t job : {3, 1, 2}) queue.add("acme", ticket(job));
  CHECK_EQ(queue.take(1), std::vector<int64_t>{1});
  queue.ended("acme");
  queue.add("acme", ticket(1));
  CHECK_EQ(queue.take(9), std::vector<int64_t>{1, 2, 3});
}

TEST_CASE("a light org is served before a noisy one's backlog") {
  Queue queue;
  for (int64_t job = 1; job <= 1000; ++job) queue.add("noisy", ticket(job));
  CHECK_EQ(queue.take(4), std::vector<int64_t>{1, 2, 3, 4});
  queue.add("light", ticket(2000));
  queue.add("Light", ticket(2001));
  CHECK_EQ(queue.take(3), std::vector<int64_t>{2000, 2001, 5});
}

TEST_CASE("orgs whose jobs end at once take turns") {
  Queue queue;
  for (int64_t job = 0; job < 30; ++job)
    queue.add(job % 3 == 0 ? "a" : job % 3 == 1 ? "b" : "c", ticket(job));
  std::map<std::string, int> served;
  for (int round = 0; round < 9; ++round) {
    const auto picks = queue.pick({.slots = 1}, queue.clock.now());
    REQUIRE_EQ(picks.size(), 1);
    queue.ended(picks[0].org);
    ++served[picks[0].org];
  }
  CHECK_EQ(served, std::map<std::string, int>{{"a", 3}, {"b", 3}, {"c", 3}});
}

TEST_CASE("an org at its limit of concurrent jobs waits with a reason until one ends") {
  Queue queue({.concurrent_jobs = 2});
  for (int64_t job = 1; job <= 4; ++job) queue.add("Acme", ticket(job));
  CHECK_EQ(queue.hold_reason("acme", queue.clock.now()), "");
  CHECK_EQ(queue.take(9), std::vector<int64_t>{1, 2});
  CHECK_EQ(queue.hold_reason("acme", queue.clock.now()),
           "held: org Acme is at its limit of 2 concurrent jobs");
  queue.ended("acme");
  CHECK_EQ(queue.take(9), std::vector<int64_t>{3});
  queue.set_limits("ACME", {.concurrent_jobs = 3});
  CHECK_EQ(queue.take(9), std::vector<int64_t>{4});
}

TEST_CASE("a rate limit delays jobs and drops none") {
  Queue queue({.jobs_per_minute = 60});
  for (int64_t job = 1; job <= 100; ++job) queue.add("acme", ticket(job));
  CHECK_EQ(queue.take(1000).size(), 60);
  CHECK_EQ(queue.hold_reason("acme", queue.clock.now()),
           "held: org acme is at its limit of 60 jobs per minute");
  queue.clock.advance(std::chrono::seconds(5));
  CHECK_EQ(queue.take(1000).size(), 5);
  queue.clock.advance(std::chrono::minutes(5));
  CHECK_EQ(queue.take(1000).size(), 35);
  CHECK_EQ(queue.size(), 0);
}

TEST_CASE("a held org does not hold up another") {
  Queue queue({.concurrent_jobs = 1});
  queue.add("a", ticket(1));
  queue.add("a", ticket(2));
  queue.add("b", ticket(3));
  CHECK_EQ(queue.take(9), std::vector<int64_t>{1, 3});
}

TEST_CASE("a job too big for the agent is passed over") {
  Queue queue;
  queue.add("acme", ticket(1, 16));
  queue.add("acme", ticket(2, 3));
  queue.add("acme", ticket(3, 3));
  bool none_left = true;
  CHECK_EQ(jobs(queue.pick({.slots = 4, .cpus = 4}, queue.clock.now(), &none_left)),
           std::vector<int64_t>{2});
  CHECK_FALSE(none_left);
  CHECK_EQ(queue.take(1), std::vector<int64_t>{1});
}

TEST_CASE("a failed claim gives its job and its token back") {
  Queue queue({.jobs_per_minute = 1});
  queue.add("acme", ticket(1));
  const auto picks = queue.pick({.slots = 1}, queue.clock.now());
  REQUIRE_EQ(picks.size(), 1);
  CHECK_EQ(queue.running("acme"), 1);
  queue.give_back(picks[0]);
  CHECK_EQ(queue.running("acme"), 0);
  CHECK_EQ(queue.take(1), std::vector<int64_t>{1});
}

TEST_CASE("an empty queue says that nothing is left") {
  Queue queue;
  bool none_left = false;
  CHECK(queue.pick({.slots = 1}, queue.clock.now(), &none_left).empty());
  CHECK(none_left);
  queue.add("acme", ticket(1));
  queue.remove(1);
  queue.remove(1);
  CHECK(queue.take(1).empty());
}
