// Identities as types, so that a job is never taken for an agent. Values.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

namespace nimbus::model {

// A job's number, unique in the installation and never used again.
struct JobId {
  int64_t value = 0;
  auto operator<=>(const JobId&) const = default;
};

// "agent-" and 12 hexadecimal digits, given at enrolment.
struct AgentId {
  std::string value;
  auto operator<=>(const AgentId&) const = default;
};

// The number of a job's execution: strictly increasing per job, 0 before the first lease.
struct Fence {
  int64_t value = 0;
  auto operator<=>(const Fence&) const = default;
};

inline std::string to_string(JobId id) { return std::to_string(id.value); }

}  // namespace nimbus::model
