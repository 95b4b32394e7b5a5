// Who may do what in which repository, and the token endpoint's tokens.
//
//   pull          any operator of the org; a job of the org with the scope registry:pull
//   push          an operator with that role; a job of the org with the scope registry:push, unless
//                 a fork's pull request started it or nobody knows what did
//   delete        an operator with that role
//   runner images every credential may pull from the org that holds Nimbus's own images; only
//                 operators of every org change it, so that no org can change what others run
//
// A token of /v2/token is a subset of its owner's rights for five minutes, never longer than the
// credential it was made from: an operator's is confirmed at each use, a job's ends with its lease.
//
// Threads: the loop's.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "access/caller.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/result.h"
#include "base/secret.h"

namespace nimbus::registry {

constexpr Duration kTokenTtl = std::chrono::seconds(300);
constexpr size_t kTokenScopesMax = 64;
constexpr std::string_view kTokenPrefix = "nbr_";

enum class Action { pull, push, delete_ };
std::string_view to_string(Action action);  // "pull", "push", "delete"

// "repository:acme/app:pull,push", as clients ask and tokens carry it.
struct Grant {
  std::string repository;
  bool pull = false;
  bool push = false;
  bool delete_ = false;
  bool has(Action action) const;
};

// A request's caller, narrowed to what its token was granted.
struct Visitor {
  access::Caller caller;
  std::optional<std::vector<Grant>> granted;  // nullopt: a credential itself, not a token
};

// The rights of the credential, whatever its token says.
bool may(const access::Caller& caller, Action action, std::string_view repository,
         std::string_view runner_org);
bool may(const Visitor& visitor, Action action, std::string_view repository,
         std::string_view runner_org);

// The `scope` of a token request; what is no scope of a repository is left out, as are repositories
// that cannot exist.
std::vector<Grant> parse_scopes(const std::vector<std::string>& scopes);
// Cut down to what the caller may do; those left without an action are left out.
std::vector<Grant> intersect(const access::Caller& caller, const std::vector<Grant>& wanted,
                             std::string_view runner_org);

class TokenMint {
 public:
  explicit TokenMint(const Secret& job_token_key);

  struct Minted {
    std::string text;
    Duration lives{0};
  };
  Minted mint(const access::Caller& caller, const std::vector<Grant>& grants, Time now) const;
  // unauthenticated: not ours, changed, or expired.
  Result<Visitor> read(std::string_view text, Time now) const;

 private:
  HmacKey key_;
};

}  // namespace nimbus::registry
