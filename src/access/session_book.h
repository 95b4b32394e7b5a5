// The dashboard's sessions. A session is a random cookie, kept as its hash, and lends its holder
// exactly what the operator token it was opened with allows; it ends after 12 hours without use, 7
// days in all, at sign-out, or when that token is revoked or expires.
//
// The CSRF value is derived from the cookie, which scripts cannot read: only the page that may ask
// GET /api/v1/session learns it.
//
// Threads: the loop's.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "access/token_book.h"

namespace nimbus::access {

constexpr Duration kSessionIdleMax = std::chrono::hours(12);
constexpr Duration kSessionLifeMax = std::chrono::hours(24 * 7);
constexpr size_t kSessionsPerTokenMax = 64;  // the oldest go first
constexpr size_t kKnownSessionsMax = 4'096;  // kept in memory

struct Session {
  std::string hash;
  Token token;
  Time created_at;
  Time seen_at;     // exact to five minutes in the database
  Time written_at;  // when seen_at was last written there
};

class SessionBook {
 public:
  SessionBook(db::Database& database, TokenBook& tokens, const Clock& clock, Random& random);

  // A new session of `token`; the cookie's value.
  Task<Result<Secret>> open(const Token& token);
  // The live session with this cookie, or nullopt.
  Task<Result<std::optional<Session>>> find(std::string_view cookie);
  Task<Result<std::optional<Session>>> find_by_hash(std::string hash);
  Task<Result<void>> close(std::string hash);
  // Deletes what has ended; how many. Called by control's housekeeping now and then.
  Task<Result<int64_t>> sweep();

 private:
  bool is_live(const Session& session, Time now) const;
  void note_use(Session& session, Time now);

  db::Database& database_;
  TokenBook& tokens_;
  const Clock& clock_;
  Random& random_;
  std::unordered_map<std::string, Session> known_;  // by hash
  uint64_t generation_ = 0;                         // the token book's, when `known_` was filled
};

// What a cookie-borne write shows in X-Nimbus-Csrf.
std::string csrf_value(std::string_view cookie);

}  // namespace nimbus::access
