#include "access/token_book.h"

#include "base/check.h"
#include "base/encoding.h"
#include "base/hash.h"
#include "base/log.h"

namespace nimbus::access {
namespace {

constexpr Duration kTrustMax = std::chrono::seconds(1);
constexpr Duration kCheckAfter = kTrustMax / 2;
constexpr Duration kUseWrittenEvery = std::chrono::minutes(1);
constexpr Duration kEndedEnrolmentKept = std::chrono::hours(24 * 30);
constexpr size_t kTokenRandomBytes = 32;
constexpr size_t kTokenTextBytesMax = 256;

std::string_view prefix(TokenKind kind) {
  switch (kind) {
    case TokenKind::operator_:
    case TokenKind::ingest: return "nbt_";
    case TokenKind::agent: return "nba_";
    case TokenKind::enrolment: return "nbe_";
  }
  return "nbt_";
}

std::optional<TokenKind> find_kind(std::string_view name) {
  for (const auto kind :
       {TokenKind::operator_, TokenKind::ingest, TokenKind::agent, TokenKind::enrolment}) {
    if (to_string(kind) == name) return kind;
  }
  return std::nullopt;
}

Result<void> raise_version(db::Transaction& tx) {
  TRY(tx.run("UPDATE access_version SET version = version + 1 WHERE one = 1"));
  return {};
}

Result<void> insert(db::Transaction& tx, const Token& token, std::string_view hash) {
  TRY(
      tx.run("INSERT INTO access_tokens (id, hash, kind, name, role, org, repo, agent, created_us, "
             "expires_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
             token.id, hash, to_string(token.kind), token.name, to_string(token.role),
             token.orgs.text(), token.repo, token.agent.value, token.created_at, token.expires_at));
  return {};
}

}  // namespace

std::string token_hash(std::string_view text) { return to_hex(sha256(text)); }

std::string_view to_string(TokenKind kind) {
  switch (kind) {
    case TokenKind::operator_: return "operator";
    case TokenKind::ingest: return "ingest";
    case TokenKind::agent: return "agent";
    case TokenKind::enrolment: return "enrolment";
  }
  return "operator";
}

Token read_token(const db::Row& row, size_t first) {
  Token token;
  token.id = row.text(first);
  const auto kind = find_kind(row.text(first + 1));
  CHECK(kind.has_value());
  token.kind = *kind;
  token.name = row.text(first + 2);
  token.role = find_role(row.text(first + 3)).value_or(Role::viewer);
  token.orgs = OrgScope::parse(row.text(first + 4));
  token.repo = row.text(first + 5);
  token.agent = {row.text(first + 6)};
  token.created_at = row.time(first + 7);
  token.expires_at = row.find_time(first + 8);
  token.last_used_at = row.find_time(first + 9);
  token.revoked_at = row.find_time(first + 10);
  return token;
}

TokenBook::TokenBook(db::Database& database, const Clock& clock, Random& random)
    : database_(database), clock_(clock), random_(random) {}

// At most one caller checks while what is known is younger than kTrustMax; past that all wait.
Task<Result<void>> TokenBook::refresh() {
  const Duration asked_at = clock_.steady();
  const Duration age = asked_at - checked_at_;
  if (version_ >= 0 && (age < kCheckAfter || (checking_ && age < kTrustMax)))
    co_return Result<void>();
  checking_ = true;
  std::function<Result<int64_t>(db::Transaction&)> work =
      [](db::Transaction& tx) -> Result<int64_t> {
    const auto row = TRY(tx.find("SELECT version FROM access_version WHERE one = 1"));
    if (!row) return fail(Code::corrupt, "the table access_version is empty");
    return row->integer(0);
  };
  const Result<int64_t> version = co_await database_.read<int64_t>(std::move(work));
  checking_ = false;
  if (!version) co_return fail(Error(version.error()).in("checking credentials"));
  if (*version != version_) forget();
  version_ = *version;
  checked_at_ = std::max(checked_at_, asked_at);
  co_return Result<void>();
}

Task<Result<uint64_t>> TokenBook::generation() {
  CO_TRY(co_await refresh());
  co_return generation_;
}

bool TokenBook::knows(std::string_view text) const { return known_.contains(token_hash(text)); }

Task<Result<std::optional<Token>>> TokenBook::find(std::string_view text) {
  if (text.size() > kTokenTextBytesMax) co_return std::optional<Token>();
  co_return co_await find_by_hash(token_hash(text));
}

Task<Result<std::optional<Token>>> TokenBook::find_by_hash(std::string hash) {
  CO_TRY(co_await refresh());
  if (const auto found = known_.find(hash);
      found != known_.end() && found->second.generation == generation_) {
    if (!found->second.token.is_valid(clock_.now())) co_return std::optional<Token>();
    note_use(hash, found->second);
    co_return std::optional<Token>(found->second.token);
  }
  const uint64_t generation = generation_;
  using Found = std::optional<Token>;
  std::function<Result<Found>(db::Transaction&)> work =
      [hash](db::Transaction& tx) -> Result<Found> {
    const auto row = TRY(tx.find(
        "SELECT hash, " + std::string(kTokenColumns) + " FROM access_tokens t WHERE hash = $1",
        hash));
    if (!row || !equal_in_constant_time(row->text(0), hash)) return Found();
    return Found(read_token(*row, 1));
  };
  CO_TRY_ASSIGN(Found token, co_await database_.read<Found>(std::move(work)));
  if (!token || !token->is_valid(clock_.now())) {
    known_.erase(hash);
    co_return Found();
  }
  Known& known = remember(hash, *token, generation);
  note_use(hash, known);
  co_return token;
}

TokenBook::Known& TokenBook::remember(const std::string& hash, const Token& token,
                                      uint64_t generation) {
  if (known_.size() >= kKnownTokensMax && !known_.contains(hash)) known_.erase(known_.begin());
  Known& known = known_[hash];
  known.token = token;
  known.generation = generation;
  known.use_written_at = std::max(known.use_written_at, token.last_used_at.value_or(Time()));
  return known;
}

void TokenBook::note_use(const std::string& hash, Known& known) {
  const Time now = clock_.now();
  if (now - known.use_written_at < kUseWrittenEvery) return;
  known.use_written_at = now;
  known.token.last_used_at = now;
  db::Work work = [hash, now](db::Transaction& tx) -> Result<void> {
    TRY(tx.run("UPDATE access_tokens SET last_used_us = $1 WHERE hash = $2", now, hash));
    return {};
  };
  database_.submit_write(std::move(work), [](Result<void> result) {
    if (!result) log_error("noting a token's use", result.error());
  });
}

IssuedToken TokenBook::make(TokenRequest request) {
  Token token{.id = "tok-" + to_hex(random_.bytes(6)),
              .kind = request.kind,
              .name = std::move(request.name),
              .role = request.role,
              .orgs = std::move(request.orgs),
              .repo = std::move(request.repo),
              .agent = std::move(request.agent),
              .created_at = clock_.now(),
              .expires_at = request.expires_at,
              .last_used_at = {},
              .revoked_at = {}};
  Secret text(std::string(prefix(token.kind)) + to_base64url(random_.bytes(kTokenRandomBytes)));
  return {std::move(token), std::move(text)};
}

Result<void> TokenBook::store_in(db::Transaction& tx, const IssuedToken& issued,
                                 std::string_view by) const {
  const Token& token = issued.token;
  TRY(insert(tx, token, token_hash(issued.text.reveal())));
  return audit(tx, token.created_at,
               {std::string(by), std::string(to_string(token.kind)) + " token created", token.id,
                token.orgs.is_all() ? "" : token.orgs.text(), token.name});
}

Task<Result<IssuedToken>> TokenBook::issue(TokenRequest request, std::string by) {
  std::function<Result<IssuedToken>(db::Transaction&)> work =
      [this, issued = make(std::move(request)),
       by = std::move(by)](db::Transaction& tx) -> Result<IssuedToken> {
    TRY(store_in(tx, issued, by));
    return issued;
  };
  co_return co_await database_.write<IssuedToken>(std::move(work));
}

Task<Result<std::vector<Token>>> TokenBook::list(OrgScope orgs, std::string cursor, int limit) {
  using Listed = std::vector<Token>;
  std::function<Result<Listed>(db::Transaction&)> work =
      [orgs, cursor = std::move(cursor), limit](db::Transaction& tx) -> Result<Listed> {
    const OrgScope::Filter filter = orgs.filter("t.org", 2);
    std::vector<db::Parameter> parameters{cursor};
    if (filter.parameter) parameters.emplace_back(*filter.parameter);
    parameters.emplace_back(limit);
    const std::string sql =
        "SELECT " + std::string(kTokenColumns) +
        " FROM access_tokens t WHERE t.kind IN ('operator', 'ingest') AND t.revoked_us IS NULL "
        "AND ($1 = '' OR "
        "(t.created_us, t.id) < (SELECT c.created_us, c.id FROM access_tokens c WHERE c.id = $1)) "
        "AND " +
        filter.sql + " ORDER BY t.created_us DESC, t.id DESC LIMIT $" +
        std::to_string(parameters.size());
    Listed listed;
    for (const db::Row& row : TRY(tx.query_with(sql, parameters))) {
      listed.push_back(read_token(row, 0));
    }
    return listed;
  };
  co_return co_await database_.read<Listed>(std::move(work));
}

Task<Result<Token>> TokenBook::revoke(std::string id, OrgScope orgs, std::string by) {
  std::function<Result<Token>(db::Transaction&)> work =
      [this, id = std::move(id), orgs, by = std::move(by)](db::Transaction& tx) -> Result<Token> {
    const auto row = TRY(tx.find("SELECT " + std::string(kTokenColumns) +
                                     " FROM access_tokens t WHERE t.id = $1 AND "
                                     "t.kind IN ('operator', 'ingest')",
                                 id));
    if (!row) return fail(Code::not_found, "no such token");
    Token token = read_token(*row, 0);
    TRY(orgs.require(token.orgs.text(), "token"));
    if (token.revoked_at) return token;
    token.revoked_at = clock_.now();
    TRY(tx.run("UPDATE access_tokens SET revoked_us = $1 WHERE id = $2", *token.revoked_at, id));
    TRY(raise_version(tx));
    TRY(audit(tx, *token.revoked_at,
              {by, "token revoked", id, token.orgs.is_all() ? "" : token.orgs.text(), token.name}));
    return token;
  };
  auto revoked = co_await database_.write<Token>(std::move(work));
  forget();
  co_return revoked;
}

Result<void> TokenBook::spend_in(db::Transaction& tx, std::string_view hash) const {
  const Time now = clock_.now();
  const int64_t spent =
      TRY(tx.run("UPDATE access_tokens SET revoked_us = $1 WHERE hash = $2 AND kind = 'enrolment' "
                 "AND revoked_us IS NULL AND expires_us > $1",
                 now, hash));
  if (spent != 1) {
    return fail(Code::unauthenticated, "the enrolment token has been used or has expired",
                "make a new one: nimbus agent enroll");
  }
  return raise_version(tx);
}

Result<void> TokenBook::revoke_agent_in(db::Transaction& tx, const model::AgentId& agent) const {
  TRY(tx.run("UPDATE access_tokens SET revoked_us = $1 WHERE agent = $2 AND revoked_us IS NULL",
             clock_.now(), agent.value));
  return raise_version(tx);
}

Result<void> TokenBook::end_sessions_in(db::Transaction& tx) { return raise_version(tx); }

Task<Result<int64_t>> TokenBook::sweep() {
  std::function<Result<int64_t>(db::Transaction&)> work =
      [before = clock_.now() - kEndedEnrolmentKept](db::Transaction& tx) -> Result<int64_t> {
    return tx.run("DELETE FROM access_tokens WHERE kind = 'enrolment' AND expires_us < $1", before);
  };
  co_return co_await database_.write<int64_t>(std::move(work));
}

Result<bool> TokenBook::adopt_admin(const Secret& text) {
  if (text.reveal().size() < kTokenRandomBytes || text.reveal().size() > kTokenTextBytesMax) {
    return fail(Code::bad_request, "the admin token must have between 32 and 256 bytes");
  }
  const std::string hash = token_hash(text.reveal());
  bool valid = true;
  TRY(database_.write_now([&](db::Transaction& tx) -> Result<void> {
    const auto row = TRY(tx.find(
        "SELECT " + std::string(kTokenColumns) + " FROM access_tokens t WHERE t.hash = $1", hash));
    if (row) {
      const Token token = read_token(*row, 0);
      valid = token.is_valid(clock_.now()) && token.role == Role::admin;
      return {};
    }
    Token token;
    token.id = "tok-" + to_hex(random_.bytes(6));
    token.name = "admin";
    token.role = Role::admin;
    token.orgs = OrgScope::all();
    token.created_at = clock_.now();
    TRY(insert(tx, token, hash));
    return audit(tx, token.created_at,
                 {"nimbus", "operator token created", token.id, "", "from admin.token"});
  }));
  return valid;
}

}  // namespace nimbus::access
