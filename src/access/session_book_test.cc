#include "access/session_book.h"

#include "access/access_fixture.h"

using namespace nimbus;
using namespace nimbus::access;
using std::chrono::hours;
using std::chrono::seconds;

namespace {

struct Sessions : AccessFixture {
  std::string text = token(Role::operator_, "acme");
  Token lent = *must(tokens.find(text));
  std::string open() { return must(sessions.open(lent)).reveal(); }
  bool lives(std::string_view cookie) { return must(sessions.find(cookie)).has_value(); }
};

}  // namespace

TEST_CASE_FIXTURE(Sessions, "a session lends what its token allows") {
  const std::string cookie = open();
  const auto session = must(sessions.find(cookie));
  REQUIRE(session.has_value());
  CHECK(session->token.role == Role::operator_);
  CHECK(session->token.orgs.covers("acme"));
  CHECK_FALSE(lives(cookie + "x"));
  CHECK_FALSE(lives(""));
  CHECK_FALSE(lives(std::string(100'000, 'a')));
}

TEST_CASE_FIXTURE(Sessions, "a session ends after twelve hours without use") {
  const std::string used = open();
  const std::string idle = open();
  clock.advance(hours(11));
  CHECK(lives(used));
  clock.advance(hours(1));
  CHECK_FALSE(lives(idle));
  CHECK(lives(used));
}

TEST_CASE_FIXTURE(Sessions, "a session ends after seven days however much it is used") {
  const std::string cookie = open();
  for (int i = 0; i < 7 * 3 - 1; ++i) {
    clock.advance(hours(8));
    CHECK(lives(cookie));
  }
  clock.advance(hours(8));
  CHECK_FALSE(lives(cookie));
}

TEST_CASE_FIXTURE(Sessions, "use by way of another process keeps a session alive") {
  TokenBook other_tokens(*database, clock, random);
  SessionBook other(*database, other_tokens, clock, random);
  const std::string cookie = open();
  CHECK(lives(cookie));
  clock.advance(hours(11));
  CHECK(must(other.find(cookie)).has_value());
  settle();
  clock.advance(hours(2));
  CHECK(lives(cookie));
}

TEST_CASE_FIXTURE(Sessions, "a session ends when its token is revoked") {
  const std::string cookie = open();
  CHECK(lives(cookie));
  must(tokens.revoke(lent.id, OrgScope::all(), "test"));
  CHECK_FALSE(lives(cookie));
}

TEST_CASE_FIXTURE(Sessions, "a session ends when its token expires") {
  const std::string short_text = token(Role::viewer, "acme", clock.now() + seconds(60));
  const Token short_lived = *must(tokens.find(short_text));
  const std::string cookie = must(sessions.open(short_lived)).reveal();
  CHECK(lives(cookie));
  clock.advance(seconds(60));
  CHECK_FALSE(lives(cookie));
}

TEST_CASE_FIXTURE(Sessions, "a closed session is over here at once and elsewhere within a second") {
  TokenBook other_tokens(*database, clock, random);
  SessionBook other(*database, other_tokens, clock, random);
  const std::string cookie = open();
  const auto session = must(other.find(cookie));
  REQUIRE(session.has_value());
  must(sessions.close(session->hash));
  CHECK_FALSE(lives(cookie));
  clock.advance(seconds(1));
  CHECK_FALSE(must(other.find(cookie)).has_value());
}

TEST_CASE_FIXTURE(Sessions, "a token has a bounded number of sessions, the oldest go first") {
  const std::string first = open();
  for (size_t i = 0; i < kSessionsPerTokenMax; ++i) {
    clock.advance(seconds(1));
    open();
  }
  CHECK_FALSE(lives(first));
  CHECK(lives(open()));
}

TEST_CASE_FIXTURE(Sessions, "ended sessions are swept, live ones stay") {
  const std::string ended = open();
  clock.advance(hours(12));
  const std::string live = open();
  CHECK_EQ(must(sessions.sweep()), 1);
  CHECK(lives(live));
}

TEST_CASE("the CSRF value belongs to one cookie and does not reveal it") {
  CHECK_EQ(csrf_value("nbs_a"), csrf_value("nbs_a"));
  CHECK_NE(csrf_value("nbs_a"), csrf_value("nbs_b"));
  CHECK_EQ(csrf_value("nbs_a").find("nbs_a"), std::string::npos);
}
