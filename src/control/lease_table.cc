#include "control/lease_table.h"

#include <algorithm>
#include <optional>

namespace nimbus::control {

void LeaseTable::wake(Entry& entry) {
  for (const auto& watcher : std::exchange(entry.watchers, {})) {
    if (const auto call = watcher.lock()) (*call)();
  }
}

void LeaseTable::add(LiveLease lease) {
  remove(lease.job);
  by_agent_[lease.agent].insert(lease.job);
  const int64_t job = lease.job;
  leases_[job].lease = std::move(lease);
}

std::optional<LiveLease> LeaseTable::remove(int64_t job) {
  const auto found = leases_.find(job);
  if (found == leases_.end()) return std::nullopt;
  wake(found->second);
  LiveLease lease = std::move(found->second.lease);
  leases_.erase(found);
  const auto jobs = by_agent_.find(lease.agent);
  jobs->second.erase(job);
  if (jobs->second.empty()) by_agent_.erase(jobs);
  return lease;
}

LiveLease* LeaseTable::find(int64_t job) {
  const auto found = leases_.find(job);
  return found == leases_.end() ? nullptr : &found->second.lease;
}

void LeaseTable::cancel(int64_t job) {
  const auto found = leases_.find(job);
  if (found == leases_.end()) return;
  found->second.lease.cancel = true;
  wake(found->second);
}

void LeaseTable::wake_all() {
  for (auto& [job, entry] : leases_) wake(entry);
}

std::vector<int64_t> LeaseTable::of_agent(const std::string& agent) const {
  const auto found = by_agent_.find(agent);
  if (found == by_agent_.end()) return {};
  return {found->second.begin(), found->second.end()};
}

std::map<std::string, std::vector<int64_t>> LeaseTable::by_agent() const {
  std::map<std::string, std::vector<int64_t>> agents;
  for (const auto& [agent, jobs] : by_agent_) agents[agent] = {jobs.begin(), jobs.end()};
  return agents;
}

std::vector<int64_t> LeaseTable::expired(Duration now) const {
  std::vector<int64_t> jobs;
  for (const auto& [job, entry] : leases_) {
    if (entry.lease.deadline <= now) jobs.push_back(job);
  }
  std::sort(jobs.begin(), jobs.end());
  return jobs;
}

void LeaseTable::extend_all(Duration deadline) {
  for (auto& [job, entry] : leases_) {
    entry.lease.deadline = std::max(entry.lease.deadline, deadline);
  }
}

LeaseTable::Watch LeaseTable::watch(int64_t job, std::function<void()> wake) {
  const auto found = leases_.find(job);
  if (found == leases_.end()) return nullptr;
  auto call = std::make_shared<std::function<void()>>(std::move(wake));
  auto& watchers = found->second.watchers;
  std::erase_if(watchers, [](const auto& watcher) { return watcher.expired(); });
  watchers.push_back(call);
  return call;
}

}  // namespace nimbus::control
