// Which queued job runs next. The queue is an index in memory over the jobs that the database has
// as queued and free to go; a claim is settled by the database (lease_book.h), so a stale entry
// costs a look and nothing else.
//
// Fairness is between orgs: the one with the fewest running jobs goes first, and of equals the one
// served longest ago, so a noisy org delays itself. Within an org the oldest job goes first, except
// that one too big for the asking agent is passed over. An org at its limit of concurrent jobs, or
// whose token bucket is empty, is passed over too: its jobs stay queued, with `hold_reason` to
// show.
//
// Threads: the loop's.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "access/token_bucket.h"
#include "base/time.h"
#include "model/job.h"

namespace nimbus::control {

constexpr int kFitLookahead = 64;  // jobs of an org looked at for one that fits

struct DispatchLimits {
  int64_t jobs_per_minute = 0;  // 0: no limit
  int64_t concurrent_jobs = 0;  // 0: no limit
};

struct Ticket {
  int64_t job = 0;
  model::Resources resources;
  Time queued_at;
};

struct Pick {
  std::string org;
  Ticket ticket;
};

// What an agent can take.
struct Room {
  int slots = 0;
  std::optional<int64_t> cpus = {};  // nullopt: whatever comes
  std::optional<int64_t> memory_mb = {};
  std::optional<int64_t> disk_mb = {};
  std::string_view agent = {};  // who asks
};

class JobQueue {
 public:
  explicit JobQueue(DispatchLimits defaults) : defaults_(defaults) {}

  void add(std::string_view org, const Ticket& ticket);
  void remove(int64_t job);  // no matter whether it is there
  size_t size() const { return org_of_.size(); }
  size_t size(std::string_view org) const;

  // Up to room.slots jobs, taken out and counted as running. `none_left` is set when there is
  // nothing that any agent could take now.
  std::vector<Pick> pick(Room room, Time now, bool* none_left = nullptr);
  // The claim failed: the job is queued as before.
  void give_back(const Pick& pick);
  // The claim found that the job is no longer queued.
  void drop(const Pick& pick);

  // The agent cannot run this job (it has not got its image): it is not picked for it again, until
  // `forget_declined`.
  void decline(int64_t job, const std::string& agent);
  std::set<std::string> declined(int64_t job) const;
  std::vector<int64_t> queued_and_declined() const;
  void forget_declined(int64_t job) { declined_.erase(job); }

  // An execution that began elsewhere (restart), one that ended.
  void began(std::string_view org);
  void ended(std::string_view org);
  int running(std::string_view org) const;

  void set_limits(std::string_view org, DispatchLimits limits);
  DispatchLimits limits(std::string_view org) const;
  void set_bucket(std::string_view org, const access::Bucket& bucket);
  static access::BucketRate rate(const DispatchLimits& limits);

  // "held: …" when the org's queued jobs wait for a limit; "" when they only wait for a slot.
  std::string hold_reason(std::string_view org, Time now) const;

 private:
  struct Org {
    std::string name;
    std::map<int64_t, Ticket> queued;  // by job, so oldest first
    int running = 0;
    uint64_t served = 0;
    uint64_t number = 0;  // in the order in which orgs came
    DispatchLimits limits;
    access::Bucket bucket;
  };
  struct NextFirst {  // fewest running, then served longest ago
    bool operator()(const Org* a, const Org* b) const {
      if (a->running != b->running) return a->running < b->running;
      if (a->served != b->served) return a->served < b->served;
      return a->number < b->number;
    }
  };

  Org& org(std::string_view name);
  const Org* find(std::string_view name) const;
  template <typename Change>
  void rerank(Org& org, Change change);
  bool at_limit(const Org& org, Time now) const;
  bool has_token(const Org& org, Time now) const;
  bool suits(const Ticket& ticket, const Room& room) const;
  Org* next(const Room& room, Time now, int64_t& job, bool& any);

  DispatchLimits defaults_;
  std::unordered_map<std::string, Org> orgs_;          // by name in lower case
  std::set<Org*, NextFirst> waiting_;                  // orgs with queued jobs
  std::unordered_map<int64_t, Org*> org_of_;           // of queued jobs
  std::map<int64_t, std::set<std::string>> declined_;  // agents, by job
  uint64_t serving_ = 0;
};

}  // namespace nimbus::control
