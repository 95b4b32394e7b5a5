#include "control/job_queue.h"

#include "base/check.h"
#include "base/text.h"

namespace nimbus::control {
namespace {

bool fits(const model::Resources& resources, const Room& room) {
  return (!room.cpus || resources.cpus <= *room.cpus) &&
         (!room.memory_mb || resources.memory_mb <= *room.memory_mb) &&
         (!room.disk_mb || resources.disk_mb <= *room.disk_mb);
}

void subtract(Room& room, const model::Resources& resources) {
  --room.slots;
  if (room.cpus) *room.cpus -= resources.cpus;
  if (room.memory_mb) *room.memory_mb -= resources.memory_mb;
  if (room.disk_mb) *room.disk_mb -= resources.disk_mb;
}

}  // namespace

access::BucketRate JobQueue::rate(const DispatchLimits& limits) {
  const auto per_minute = static_cast<double>(limits.jobs_per_minute);
  return {per_minute / 60, per_minute};
}

JobQueue::Org& JobQueue::org(std::string_view name) {
  auto [found, is_new] = orgs_.try_emplace(to_lower(name));
  Org& org = found->second;
  if (is_new) {
    org.name = name;
    org.number = orgs_.size();
    org.limits = defaults_;
    org.bucket = {rate(defaults_).capacity, Time()};
  }
  return org;
}

const JobQueue::Org* JobQueue::find(std::string_view name) const {
  const auto found = orgs_.find(to_lower(name));
  return found == orgs_.end() ? nullptr : &found->second;
}

// Changes what an org's place in the line is made of.
template <typename Change>
void JobQueue::rerank(Org& org, Change change) {
  if (!org.queued.empty()) waiting_.erase(&org);
  change();
  if (!org.queued.empty()) waiting_.insert(&org);
}

void JobQueue::add(std::string_view name, const Ticket& ticket) {
  Org& owner = org(name);
  const bool was_empty = owner.queued.empty();
  owner.queued.insert_or_assign(ticket.job, ticket);
  if (was_empty) waiting_.insert(&owner);
  org_of_[ticket.job] = &owner;
}

void JobQueue::remove(int64_t job) {
  const auto found = org_of_.find(job);
  if (found == org_of_.end()) return;
  Org& owner = *found->second;
  rerank(owner, [&] { owner.queued.erase(job); });
  org_of_.erase(found);
}

size_t JobQueue::size(std::string_view name) const {
  const Org* org = find(name);
  return org == nullptr ? 0 : org->queued.size();
}

bool JobQueue::has_token(const Org& org, Time now) const {
  if (org.limits.jobs_per_minute <= 0) return true;
  return access::take(org.bucket, rate(org.limits), now).granted;
}

bool JobQueue::at_limit(const Org& org, Time now) const {
  if (org.limits.concurrent_jobs > 0 && org.running >= org.limits.concurrent_jobs) return true;
  return !has_token(org, now);
}

bool JobQueue::suits(const Ticket& ticket, const Room& room) const {
  if (!fits(ticket.resources, room)) return false;
  const auto found = declined_.find(ticket.job);
  return found == declined_.end() || !found->second.contains(std::string(room.agent));
}

void JobQueue::decline(int64_t job, const std::string& agent) { declined_[job].insert(agent); }

std::set<std::string> JobQueue::declined(int64_t job) const {
  const auto found = declined_.find(job);
  return found == declined_.end() ? std::set<std::string>() : found->second;
}

std::vector<int64_t> JobQueue::queued_and_declined() const {
  std::vector<int64_t> jobs;
  for (const auto& [job, agents] : declined_) {
    if (org_of_.contains(job)) jobs.push_back(job);
  }
  return jobs;
}

JobQueue::Org* JobQueue::next(const Room& room, Time now, int64_t& job, bool& any) {
  for (Org* org : waiting_) {
    if (at_limit(*org, now)) continue;
    any = true;
    int looked = 0;
    for (const auto& [id, ticket] : org->queued) {
      if (++looked > kFitLookahead) break;
      if (!suits(ticket, room)) continue;
      job = id;
      return org;
    }
  }
  return nullptr;
}

std::vector<Pick> JobQueue::pick(Room room, Time now, bool* none_left) {
  std::vector<Pick> picks;
  bool any = false;
  while (room.slots > 0) {
    any = false;
    int64_t job = 0;
    Org* owner = next(room, now, job, any);
    if (owner == nullptr) break;
    const Ticket ticket = owner->queued.at(job);
    rerank(*owner, [&] {
      owner->queued.erase(job);
      owner->running += 1;
      owner->served = ++serving_;
    });
    if (owner->limits.jobs_per_minute > 0) {
      owner->bucket = access::take(owner->bucket, rate(owner->limits), now).bucket;
    }
    org_of_.erase(job);
    subtract(room, ticket.resources);
    picks.push_back({owner->name, ticket});
  }
  if (none_left != nullptr) *none_left = room.slots > 0 && !any;
  return picks;
}

void JobQueue::give_back(const Pick& pick) {
  Org& owner = org(pick.org);
  rerank(owner, [&] {
    owner.queued.insert_or_assign(pick.ticket.job, pick.ticket);
    owner.running -= 1;
  });
  owner.bucket.tokens += 1;
  org_of_[pick.ticket.job] = &owner;
}

void JobQueue::drop(const Pick& pick) {
  ended(pick.org);
  org(pick.org).bucket.tokens += 1;
}

void JobQueue::began(std::string_view name) {
  Org& owner = org(name);
  rerank(owner, [&] { owner.running += 1; });
}

void JobQueue::ended(std::string_view name) {
  Org& owner = org(name);
  CHECK(owner.running > 0);
  rerank(owner, [&] { owner.running -= 1; });
}

int JobQueue::running(std::string_view name) const {
  const Org* org = find(name);
  return org == nullptr ? 0 : org->running;
}

void JobQueue::set_limits(std::string_view name, DispatchLimits limits) {
  Org& owner = org(name);
  // A bucket nobody has drawn on follows its limit; a used one keeps what it has.
  if (owner.bucket.updated_at == Time()) owner.bucket.tokens = rate(limits).capacity;
  owner.limits = limits;
}

DispatchLimits JobQueue::limits(std::string_view name) const {
  const Org* org = find(name);
  return org == nullptr ? defaults_ : org->limits;
}

void JobQueue::set_bucket(std::string_view name, const access::Bucket& bucket) {
  org(name).bucket = bucket;
}

std::string JobQueue::hold_reason(std::string_view name, Time now) const {
  const Org* org = find(name);
  if (org == nullptr) return {};
  const DispatchLimits& limits = org->limits;
  if (limits.concurrent_jobs > 0 && org->running >= limits.concurrent_jobs) {
    return "held: org " + org->name + " is at its limit of " +
           std::to_string(limits.concurrent_jobs) + " concurrent jobs";
  }
  if (!has_token(*org, now)) {
    return "held: org " + org->name + " is at its limit of " +
           std::to_string(limits.jobs_per_minute) + " jobs per minute";
  }
  return {};
}

}  // namespace nimbus::control
