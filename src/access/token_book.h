// The credentials Nimbus gave out: operator and ingest tokens, agents' credentials, enrolment
// tokens. Only SHA-256 hashes are kept; a token's text exists once, in the answer that created it.
//
// `find` answers from memory. Memory is trusted for a second at most: then one small read asks
// whether any process has changed the book, so a revocation holds at once here and within a second
// everywhere. When the database is away nobody is let in on old knowledge.
//
// Threads: the loop's; the functions that take a Transaction run on a database thread.
// Not here: HTTP (authenticator.h, control/token_routes.h), job tokens (job_token.h).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "access/audit.h"
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
  // Whether this text was valid when last looked at; asks nobody, proves nothing.
  bool knows(std::string_view text) const;

  Task<Result<IssuedToken>> issue(TokenRequest request, std::string by);
  // Operator and ingest tokens within `orgs` that are not revoked, newest first, after `cursor` (an
  // id; "" starts).
  Task<Result<std::vector<Token>>> list(OrgScope orgs, std::string cursor, int limit);
  // Idempotent. not_found: no such token within `orgs`, or one that is not listed here.
  Task<Result<Token>> revoke(std::string id, OrgScope orgs, std::string by);

  // A larger unit of work: make the token on the loop, store it in the transaction. After one that
  // spends or revokes, call `forget` on the loop.
  IssuedToken make(TokenRequest request);
  Result<void> store_in(db::Transaction& tx, const IssuedToken& issued, std::string_view by) const;
  // Spends an enrolment token; unauthenticated when it is unknown, spent or expired.
  Result<void> spend_in(db::Transaction& tx, std::string_view hash) const;
  Result<void> revoke_agent_in(db::Transaction& tx, const model::AgentId& agent) const;
  // Makes every process look at its sessions again.
  static Result<void> end_sessions_in(db::Transaction& tx);
  // Trusts memory no longer; the next `find` of each token reads the database.
  void forget() { ++generation_; }

  // Start-up (blocking): makes the text of the data directory's admin.token an admin's token of
  // every org, once. False when it is known but revoked or expired.
  Result<bool> adopt_admin(const Secret& text);

  // Changes whenever memory stops being trusted; for the session book, which keeps its own.
  Task<Result<uint64_t>> generation();
  // A row about a refusal, not waited for.
  void audit_later(AuditEntry entry) {
    access::audit_later(database_, clock_.now(), std::move(entry));
  }
  // Deletes enrolment tokens that ended long ago; how many. Control's housekeeping calls it.
  Task<Result<int64_t>> sweep();

 private:
  struct Known {
    Token token;
    uint64_t generation = 0;  // trusted while it is the book's
    Time use_written_at;
  };

  Task<Result<void>> refresh();
  Known& remember(const std::string& hash, const Token& token, uint64_t generation);
  void note_use(const std::string& hash, Known& known);

  db::Database& database_;
  const Clock& clock_;
  Random& random_;
  std::unordered_map<std::string, Known> known_;  // by hash
  uint64_t generation_ = 1;
  int64_t version_ = -1;    // the database's, as last read; -1: never
  Duration checked_at_{0};  // steady
  bool checking_ = false;
};

// For queries here and in session_book.cc: the columns of `access_tokens t`, and a Token of them.
constexpr std::string_view kTokenColumns =
    "t.id, t.kind, t.name, t.role, t.org, t.repo, t.agent, t.created_us, t.expires_us, "
    "t.last_used_us, t.revoked_us";
Token read_token(const db::Row& row, size_t first_column);

// The SHA-256 of a token's text, hexadecimal: how the book knows it.
std::string token_hash(std::string_view text);
std::string_view to_string(TokenKind kind);  // "operator", "ingest", "agent", "enrolment"

}  // namespace nimbus::access
