#include "access/token_book.h"

#include "access/access_fixture.h"
#include "access/audit.h"

using namespace nimbus;
using namespace nimbus::access;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

struct Book : AccessFixture {
  std::optional<Token> find(std::string_view text) { return must(tokens.find(text)); }
  std::optional<Token> find_in(TokenBook& book, std::string_view text) {
    return must(book.find(text));
  }
  size_t count(const std::string& sql) {
    size_t rows = 0;
    REQUIRE(database
                ->read_now([&](db::Transaction& tx) -> Result<void> {
                  rows = TRY(tx.query(sql)).size();
                  return {};
                })
                .has_value());
    return rows;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Book, "a token that was issued is found, and only its hash is stored") {
  const std::string text = token(Role::operator_, "Acme");
  CHECK(text.starts_with("nbt_"));
  CHECK_EQ(text.size(), 4 + 43);
  const auto found = find(text);
  REQUIRE(found.has_value());
  CHECK(found->role == Role::operator_);
  CHECK(found->orgs.covers("acme"));
  CHECK_EQ(count("SELECT id FROM access_tokens WHERE hash = '" + text + "'"), 0);
  CHECK_EQ(count("SELECT id FROM access_tokens WHERE hash = '" + token_hash(text) + "'"), 1);
}

TEST_CASE_FIXTURE(Book, "text that is no token is not found") {
  for (const std::string& text : {std::string(), std::string("nbt_"), std::string(10'000, 'a')}) {
    CHECK_FALSE(find(text).has_value());
    CHECK_FALSE(tokens.knows(text));
  }
}

TEST_CASE_FIXTURE(Book, "a token ends at its expiry, also when it is in memory") {
  const std::string text = token(Role::viewer, "*", clock.now() + seconds(60));
  CHECK(find(text).has_value());
  clock.advance(seconds(60));
  CHECK_FALSE(find(text).has_value());
}

TEST_CASE_FIXTURE(Book, "a revoked token is refused at once") {
  const std::string text = token(Role::viewer, "*");
  const auto issued = find(text);
  CHECK(must(tokens.revoke(issued->id, OrgScope::all(), "test")).revoked_at.has_value());
  CHECK_FALSE(find(text).has_value());
  CHECK(must(tokens.revoke(issued->id, OrgScope::all(), "test")).revoked_at.has_value());
}

TEST_CASE_FIXTURE(Book, "a token revoked by another process is refused within a second") {
  TokenBook other(*database, clock, random);
  const std::string text = token(Role::viewer, "*");
  CHECK(find_in(other, text).has_value());
  must(tokens.revoke(find(text)->id, OrgScope::all(), "test"));
  clock.advance(seconds(1));
  CHECK_FALSE(find_in(other, text).has_value());
}

TEST_CASE_FIXTURE(Book, "a known token costs no database access") {
  const std::string text = token(Role::viewer, "*");
  find(text);
  settle();
  // Without the table any look at it would fail.
  REQUIRE(database
              ->write_now([](db::Transaction& tx) -> Result<void> {
                TRY(tx.run("ALTER TABLE access_tokens RENAME TO elsewhere"));
                return {};
              })
              .has_value());
  CHECK(find(text).has_value());
}

TEST_CASE_FIXTURE(Book, "nobody is let in on old knowledge when the database is away") {
  const std::string text = token(Role::viewer, "*");
  find(text);
  settle();
  REQUIRE(database
              ->write_now([](db::Transaction& tx) -> Result<void> {
                TRY(tx.run("ALTER TABLE access_version RENAME TO elsewhere"));
                return {};
              })
              .has_value());
  CHECK(find(text).has_value());
  clock.advance(seconds(1));
  CHECK_FALSE(run(tokens.find(text)).has_value());
}

TEST_CASE_FIXTURE(Book, "a token's last use is written once a minute at most") {
  const std::string text = token(Role::viewer, "*");
  find(text);
  settle();
  const Time first = clock.now();
  clock.advance(seconds(30));
  find(text);
  settle();
  CHECK(must(tokens.list(OrgScope::all(), "", 10)).front().last_used_at == first);
  clock.advance(seconds(30));
  find(text);
  settle();
  CHECK(must(tokens.list(OrgScope::all(), "", 10)).front().last_used_at == clock.now());
}

TEST_CASE_FIXTURE(Book, "a list shows the scope's own live tokens, page by page") {
  for (int i = 0; i < 3; ++i) {
    token(Role::viewer, "acme");
    clock.advance(milliseconds(1));
  }
  token(Role::viewer, "globex");
  token(Role::admin, "*");
  token_of(TokenKind::enrolment);
  token_of(TokenKind::agent, "", "agent-1");
  CHECK_EQ(must(tokens.list(OrgScope::all(), "", 10)).size(), 5);
  const auto first = must(tokens.list(OrgScope::one("ACME"), "", 2));
  REQUIRE_EQ(first.size(), 2);
  const auto second = must(tokens.list(OrgScope::one("ACME"), first.back().id, 2));
  REQUIRE_EQ(second.size(), 1);
  CHECK_NE(second.front().id, first.back().id);
  must(tokens.revoke(second.front().id, OrgScope::all(), "test"));
  CHECK_EQ(must(tokens.list(OrgScope::one("acme"), "", 10)).size(), 2);
  CHECK(must(tokens.list(OrgScope(), "", 10)).empty());
}

TEST_CASE_FIXTURE(Book, "a token of another org, or of an agent, cannot be revoked here") {
  const std::string foreign = token(Role::viewer, "globex");
  const std::string wide = token(Role::viewer, "*");
  const std::string agent = token_of(TokenKind::agent, "", "agent-1");
  for (const std::string& text : {foreign, wide, agent}) {
    const auto refused = run(tokens.revoke(find(text)->id, OrgScope::one("acme"), "test"));
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == Code::not_found);
    CHECK_EQ(refused.error().message, "no such token");
    CHECK(find(text).has_value());
  }
}

TEST_CASE_FIXTURE(Book, "an enrolment token is spent once, within its hour") {
  const auto spend = [this](const std::string& text) {
    const auto outcome = database->write_now(
        [&](db::Transaction& tx) { return tokens.spend_in(tx, token_hash(text)); });
    tokens.forget();
    return outcome.has_value();
  };
  const std::string text = token_of(TokenKind::enrolment);
  CHECK(find(text).has_value());
  CHECK(spend(text));
  CHECK_FALSE(spend(text));
  CHECK_FALSE(find(text).has_value());
  const std::string late = token_of(TokenKind::enrolment);
  clock.advance(kEnrolmentTtl);
  CHECK_FALSE(spend(late));
  CHECK_FALSE(spend(token(Role::admin, "*")));
}

TEST_CASE_FIXTURE(Book, "ended enrolment tokens are swept, others stay") {
  token_of(TokenKind::enrolment);
  token(Role::viewer, "*");
  CHECK_EQ(must(tokens.sweep()), 0);
  clock.advance(hours(24 * 31));
  CHECK_EQ(must(tokens.sweep()), 1);
}

TEST_CASE_FIXTURE(Book,
                  "the admin token of the data directory is adopted once and may be revoked") {
  const Secret text("nbt_0123456789abcdef0123456789abcdef");
  CHECK(*tokens.adopt_admin(text));
  CHECK(*tokens.adopt_admin(text));
  CHECK_EQ(count("SELECT id FROM access_tokens"), 1);
  const auto found = find(text.reveal());
  REQUIRE(found.has_value());
  CHECK(found->role == Role::admin);
  CHECK(found->orgs.is_all());
  must(tokens.revoke(found->id, OrgScope::all(), "test"));
  CHECK_FALSE(*tokens.adopt_admin(text));
  CHECK_FALSE(tokens.adopt_admin(Secret("short")).has_value());
}

TEST_CASE_FIXTURE(Book, "what changes a right is in the audit log, seen by its org alone") {
  const std::string text = token(Role::viewer, "acme");
  clock.advance(milliseconds(1));
  const Token found = *find(text);
  must(tokens.revoke(found.id, OrgScope::all(), "tok-admin"));
  clock.advance(milliseconds(1));
  token(Role::viewer, "globex");
  const auto rows = must(list_audit(*database, OrgScope::one("Acme"), "", 10));
  REQUIRE_EQ(rows.size(), 2);
  CHECK_EQ(rows[0].entry.what, "token revoked");
  CHECK_EQ(rows[0].entry.who, "tok-admin");
  CHECK_EQ(rows[0].entry.subject, found.id);
  CHECK_EQ(must(list_audit(*database, OrgScope::one("acme"), rows[0].id, 10)).size(), 1);
  CHECK_EQ(must(list_audit(*database, OrgScope::all(), "", 10)).size(), 3);
  CHECK(must(list_audit(*database, OrgScope(), "", 10)).empty());
  clock.advance(kAuditKept + seconds(1));
  CHECK_EQ(must(sweep_audit(*database, clock.now())), 3);
}
