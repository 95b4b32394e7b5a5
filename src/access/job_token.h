// The job token: what the gateway adds to a guest's requests, and what unmodified Actions clients
// accept as ACTIONS_RUNTIME_TOKEN. A JWT signed with HMAC-SHA256; it names one execution of one job
// and lives as long as its lease, so every role refuses an ended lease without asking control.
//
// Only HS256 is accepted and every other header field is ignored or refused, so a token cannot
// choose how it is checked. Signatures compare in constant time, over the bytes as sent, before any
// of the payload is read. Two keys may be valid at once while the key is being rotated.
//
// Threads: any; a JobTokens never changes.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "model/ids.h"

namespace nimbus {
class HmacKey;
}

namespace nimbus::access {

constexpr size_t kJobTokenBytesMax = size_t{8} << 10;
constexpr Duration kJobTokenLeeway = std::chrono::seconds(5);  // of clocks between hosts
constexpr size_t kJobTokenKeyBytesMin = 32;

// What a token lets its job do. A token carries those its job was granted.
constexpr std::string_view kScopeLogs = "logs";
constexpr std::string_view kScopeTelemetry = "telemetry";
constexpr std::string_view kScopeCache = "cache";
constexpr std::string_view kScopeArtifacts = "artifacts";
constexpr std::string_view kScopeRegistryPull = "registry:pull";
constexpr std::string_view kScopeRegistryPush = "registry:push";

// A ref whose cache entries the job sees. The claim `ac`, as GitHub's clients and proxies read it.
struct CacheScope {
  std::string ref;
  bool read = true;
  bool write = false;
  bool operator==(const CacheScope&) const = default;
};

// How far what a job writes may be believed, and why. Control decides it when it makes the token.
//
//   branch        a run that only somebody who may push to the branch could start
//   pull_request  a pull request from within the repository
//   fork          a pull request from a fork
//   unproven      a run of GitHub's of which nobody said what started it, or strangers could
//   native        an operator's own job
enum class Trust { branch, pull_request, fork, unproven, native };
std::string_view to_string(Trust trust);
std::optional<Trust> find_trust(std::string_view name);

// Refs that no branch's job ever reads: of pull requests and of single runs.
bool is_isolated_ref(std::string_view ref);

struct JobClaims {
  std::string org;
  std::string repo;
  std::string ref;  // may be empty
  model::JobId job;
  model::Fence fence;
  std::vector<std::string> scopes;
  std::vector<CacheScope> cache_scopes;  // in the order they are searched; at most one writable
  // What started it ("push"; "" when unknown or native), and what that makes of it. A token without
  // the claim is `native` or, when it writes to an isolated ref, `unproven`.
  std::string event;
  Trust trust = Trust::unproven;
  // The ids in `scp` "Actions.Results:RUN:JOB", which artifact clients send back in every call.
  std::string run_backend_id;
  std::string job_backend_id;
  Time issued_at;
  Time expires_at;

  bool has_scope(std::string_view scope) const;
};

// The claims of a job with every scope. Cache entries go to `cache_ref`, or to the job's own ref
// when that is empty; `base_ref` and `default_ref` (may be empty) are read only. Without a run of
// GitHub's the job's own id stands for both ids in `scp`.
struct JobClaimsInput {
  std::string org;
  std::string repo;
  std::string ref;
  std::string cache_ref = {};
  std::string base_ref;
  std::string default_ref;
  model::JobId job;
  model::Fence fence;
  int64_t run_id = 0;  // GitHub's; 0: a native job
  std::string event = {};
  Trust trust = Trust::native;
  Time now;
  Time expires_at;
};
JobClaims make_job_claims(const JobClaimsInput& input);

enum class JobTokenFault { malformed, forged, expired };

class JobTokens {
 public:
  // The first key signs; all verify. Keys shorter than kJobTokenKeyBytesMin are a bug of the caller
  // (see parse_job_token_keys).
  explicit JobTokens(const std::vector<Secret>& keys);
  ~JobTokens();
  JobTokens(JobTokens&&) noexcept;

  std::string sign(const JobClaims& claims) const;
  // unauthenticated: malformed, forged, of another issuer, not yet valid, or expired; the message
  // tells which only for a token that we did sign. `fault`, when given, says it to programs.
  Result<JobClaims> verify(std::string_view token, Time now, JobTokenFault* fault = nullptr) const;

 private:
  std::vector<HmacKey> keys_;
};

// A key file's text: one key a line, the first signs, the second (optional) still verifies.
// bad_request: none, more than two, or one that is too short.
Result<std::vector<Secret>> parse_job_token_keys(std::string_view text);

}  // namespace nimbus::access
