#include "access/session_book.h"

#include "base/encoding.h"
#include "base/hash.h"
#include "base/log.h"

namespace nimbus::access {
namespace {

constexpr Duration kSeenWrittenEvery = std::chrono::minutes(5);
constexpr size_t kCookieRandomBytes = 32;
constexpr size_t kCookieBytesMax = 128;

}  // namespace

std::string csrf_value(std::string_view cookie) {
  return to_base64url(hmac_sha256(cookie, "nimbus csrf"));
}

SessionBook::SessionBook(db::Database& database, TokenBook& tokens, const Clock& clock,
                         Random& random)
    : database_(database), tokens_(tokens), clock_(clock), random_(random) {}

bool SessionBook::is_live(const Session& session, Time now) const {
  return session.token.kind == TokenKind::operator_ && session.token.is_valid(now) &&
         now - session.created_at < kSessionLifeMax && now - session.seen_at < kSessionIdleMax;
}

Task<Result<Secret>> SessionBook::open(const Token& token) {
  Secret cookie("nbs_" + to_base64url(random_.bytes(kCookieRandomBytes)));
  const std::string hash = token_hash(cookie.reveal());
  std::function<Result<bool>(db::Transaction&)> work =
      [hash, id = token.id, now = clock_.now()](db::Transaction& tx) -> Result<bool> {
    TRY(
        tx.run("INSERT INTO access_sessions (hash, token, created_us, seen_us) "
               "VALUES ($1, $2, $3, $3)",
               hash, id, now));
    const int64_t ended =
        TRY(tx.run("DELETE FROM access_sessions WHERE hash IN (SELECT hash FROM access_sessions "
                   "WHERE token = $1 ORDER BY created_us DESC, hash LIMIT 1000000 OFFSET $2)",
                   id, kSessionsPerTokenMax));
    if (ended > 0) TRY(TokenBook::end_sessions_in(tx));
    return ended > 0;
  };
  CO_TRY_ASSIGN(const bool ended, co_await database_.write<bool>(std::move(work)));
  if (ended) tokens_.forget();
  co_return cookie;
}

Task<Result<std::optional<Session>>> SessionBook::find(std::string_view cookie) {
  if (cookie.size() > kCookieBytesMax) co_return std::optional<Session>();
  co_return co_await find_by_hash(token_hash(cookie));
}

Task<Result<std::optional<Session>>> SessionBook::find_by_hash(std::string hash) {
  using Found = std::optional<Session>;
  CO_TRY_ASSIGN(const uint64_t generation, co_await tokens_.generation());
  if (generation != generation_) {
    known_.clear();
    generation_ = generation;
  }
  if (const auto found = known_.find(hash);
      found != known_.end() && is_live(found->second, clock_.now())) {
    note_use(found->second, clock_.now());
    co_return Found(found->second);
  }
  // Also when memory says idle: the session may be in use by way of another process.
  known_.erase(hash);
  std::function<Result<Found>(db::Transaction&)> work =
      [hash](db::Transaction& tx) -> Result<Found> {
    const auto row = TRY(tx.find("SELECT s.created_us, s.seen_us, " + std::string(kTokenColumns) +
                                     " FROM access_sessions s JOIN access_tokens t "
                                     "ON t.id = s.token WHERE s.hash = $1",
                                 hash));
    if (!row) return Found();
    return Found(Session{hash, read_token(*row, 2), row->time(0), row->time(1), row->time(1)});
  };
  CO_TRY_ASSIGN(Found session, co_await database_.read<Found>(std::move(work)));
  const Time now = clock_.now();
  if (!session || !is_live(*session, now)) co_return Found();
  note_use(*session, now);
  if (generation == generation_) {
    if (known_.size() >= kKnownSessionsMax) known_.erase(known_.begin());
    known_.insert_or_assign(hash, *session);
  }
  co_return session;
}

void SessionBook::note_use(Session& session, Time now) {
  session.seen_at = now;
  if (now - session.written_at < kSeenWrittenEvery) return;
  session.written_at = now;
  db::Work work = [hash = session.hash, token = session.token.id,
                   now](db::Transaction& tx) -> Result<void> {
    TRY(tx.run("UPDATE access_sessions SET seen_us = $1 WHERE hash = $2", now, hash));
    TRY(tx.run("UPDATE access_tokens SET last_used_us = $1 WHERE id = $2", now, token));
    return {};
  };
  database_.submit_write(std::move(work), [](Result<void> result) {
    if (!result) log_error("noting a session's use", result.error());
  });
}

Task<Result<void>> SessionBook::close(std::string hash) {
  std::function<Result<bool>(db::Transaction&)> work =
      [hash = std::move(hash)](db::Transaction& tx) -> Result<bool> {
    const int64_t ended = TRY(tx.run("DELETE FROM access_sessions WHERE hash = $1", hash));
    if (ended > 0) TRY(TokenBook::end_sessions_in(tx));
    return ended > 0;
  };
  const auto ended = co_await database_.write<bool>(std::move(work));
  tokens_.forget();
  if (!ended) co_return fail(ended.error());
  co_return Result<void>();
}

Task<Result<int64_t>> SessionBook::sweep() {
  std::function<Result<int64_t>(db::Transaction&)> work =
      [now = clock_.now()](db::Transaction& tx) -> Result<int64_t> {
    return tx.run(
        "DELETE FROM access_sessions WHERE seen_us <= $1 OR created_us <= $2 OR token IN "
        "(SELECT id FROM access_tokens WHERE revoked_us IS NOT NULL OR expires_us <= $3)",
        now - kSessionIdleMax, now - kSessionLifeMax, now);
  };
  co_return co_await database_.write<int64_t>(std::move(work));
}

}  // namespace nimbus::access
