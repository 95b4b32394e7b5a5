// What the guest is told about its job: the body that answers its long poll, and the environment
// that the job's programs see. Nothing in it is a credential. Pure functions.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/journal.h"
#include "base/secret.h"
#include "base/time.h"
#include "model/job.h"

namespace nimbus::agent {

constexpr std::string_view kGatewayUrl = "http://169.254.169.254";

// What it is made of; borrowed for the call.
struct GuestFacts {
  ExecutionKey key;
  const model::JobSpec& spec;
  const std::vector<std::string>& image_env;
  const Secret& job_token;  // only its ids are taken
  Time now;
};

// Later ones win: the image's, Nimbus's own, the job's.
std::map<std::string, std::string> job_environment(const GuestFacts& facts);

// A token that Actions clients take for theirs (they read its claims and check nothing) and that no
// server accepts: its signature is empty words. The gateway puts the real one in its place, whose
// ids it carries.
std::string worthless_runtime_token(ExecutionKey key, const Secret& job_token, Time now);

// The answer to GET /guest/v1/job; `entropy` are fresh random bytes.
std::string guest_job_body(const GuestFacts& facts, std::string_view entropy);

}  // namespace nimbus::agent
