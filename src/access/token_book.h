// The credentials Nimbus gave out: operator and ingest tokens, agents' credentials, enrolment tokens.
// Only SHA-256 hashes are kept; a token's text exists once, in the answer that created it.
//
// `find` answers from memory. Memory is trusted for a second at most: then one small read asks
// whether any process has changed the book, so a revocation holds at once here and within a second
// everywhere. When the database is away nobody is let in on old knowledge.
//
// Threads: the loop's; the functions that take a Transaction run on a database thread.
// Not here: HTTP (authenticator.h, control/token_routes.h), job tokens (job_token.h).
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "access/caller.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/secret.h"
#include "db/database.h"
#include "db/migrate.h"

namespace nimbus::access {

constexpr size_t kKnownTokensMax = 16'384;  // kept in memory
constexpr Duration kEnrolmentTtl = std::chrono::hours(1);

const db::MigrationSet& access_migrations();

enum class TokenKind { operator_, ingest, agent, enrolment };

struct Token {
  std::string id;  // "tok-" and 12 hexadecimal digits
  TokenKind kind = TokenKind::operator_;
  std::string name;
  Role role = Role::viewer;  // operator tokens
  OrgScope orgs;
  std::string repo;  // ingest tokens, "" for all of the org's
  model::AgentId agent;
  Time created_at;
  std::optional<Time> expires_at;
  std::optional<Time> last_used_at;  // exact to a minute or so
  std::optional<Time> revoked_at;    // for enrolments also: spent

  bool is_valid(Time now) const { return !revoked_at && (!expires_at || now < *expires_at); }
};

// What to issue; the rest is decided by the book.
struct TokenRequest {
  TokenKind kind = TokenKind::operator_;
  std::string name;
  Role role = Role::viewer;
  OrgScope orgs;
  std::string repo;
  model::AgentId agent;
  std::optional<Time> expires_at;
};

struct IssuedToken {
  Token token;
  Secret text;
};

class TokenBook {
 public:
  TokenBook(db::Database& database, const Clock& clock, Random& random);

  // The valid token with this text, or nullopt. unavailable: the database is away.
  Task<Result<std::optional<Token>>> find(std::string_view text);
  // By hash, see Caller::credential.
  Task<Result<std::optional<Token>>> find_by_hash(std::string hash);
  // Whether memory knows this text as valid, without asking the database.
  bool knows(std::string_view text) const;

  Task<Result<IssuedToken>> issue(TokenRequest request, std::string by);
  // Operator and ingest tokens within `orgs`, newest first, after `cursor` (an id; "" starts).
  Task<Result<std::vector<Token>>> list(OrgScope orgs, std::string cursor, int limit);
  // Idempotent. not_found: no such token within `orgs`, or one that is not listed here.
  Task<Result<Token>> revoke(std::string id, OrgScope orgs, std::string by);

  // Inside a larger unit of work; call `forget` on the loop once that is durable.
  Result<IssuedToken> issue_in(db::Transaction& tx, const TokenRequest& request,
                               std::string_view by) const;
  // Spends an enrolment token; unauthenticated when it is unknown, spent or expired.
  Result<void> spend_in(db::Transaction& tx, std::string_view hash) const;
  Result<void> revoke_agent_in(db::Transaction& tx, const model::AgentId& agent) const;
  // Drops what memory holds; the next `find` reads the database.
  void forget();

  // Start-up (blocking): makes the text of the data directory's admin.token an admin's token of
  // every org, once. False when it is known but revoked or expired.
  Result<bool> adopt_admin(const Secret& text);

  // Compared by `find` before memory is trusted, and by the session book, which keeps its own.
  Task<Result<uint64_t>> generation();

 private:
  struct Known {
    Token token;
    Time used_written_at;
  };

  Task<Result<void>> refresh();
  void remember(const std::string& hash, const Token& token);
  void note_use(const std::string& hash, Known& known);

  db::Database& database_;
  const Clock& clock_;
  Random& random_;
  std::unordered_map<std::string, Known> known_;  // by hash
  uint64_t generation_ = 1;                       // raised whenever memory is dropped
  int64_t version_ = -1;                          // the database's, as last read
  Duration checked_at_;                           // steady
  bool checking_ = false;
};

// The SHA-256 of a token's text, hexadecimal: how the book knows it.
std::string token_hash(std::string_view text);
std::string_view to_string(TokenKind kind);  // "operator", "ingest", "agent", "enrolment"

}  // namespace nimbus::access
