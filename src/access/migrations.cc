#include <array>

#include "access/token_book.h"

namespace nimbus::access {
namespace {

// `access_version` is raised by whatever takes a right away: memory everywhere asks for it.
constexpr std::string_view kCredentials = R"sql(
CREATE TABLE access_version (
  one BIGINT PRIMARY KEY CHECK (one = 1),
  version BIGINT NOT NULL
);
INSERT INTO access_version (one, version) VALUES (1, 1);
CREATE TABLE access_tokens (
  id TEXT PRIMARY KEY,
  hash TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  role TEXT NOT NULL,
  org TEXT NOT NULL,
  repo TEXT NOT NULL,
  agent TEXT NOT NULL,
  created_us BIGINT NOT NULL,
  expires_us BIGINT,
  last_used_us BIGINT,
  revoked_us BIGINT
);
CREATE INDEX access_tokens_by_time ON access_tokens (created_us, id);
CREATE INDEX access_tokens_by_agent ON access_tokens (agent);
CREATE TABLE access_sessions (
  hash TEXT PRIMARY KEY,
  token TEXT NOT NULL REFERENCES access_tokens (id),
  created_us BIGINT NOT NULL,
  seen_us BIGINT NOT NULL
);
CREATE INDEX access_sessions_by_token ON access_sessions (token, created_us);
)sql";

constexpr std::string_view kAudit = R"sql(
CREATE TABLE access_audit (
  id TEXT PRIMARY KEY,
  at_us BIGINT NOT NULL,
  who TEXT NOT NULL,
  what TEXT NOT NULL,
  subject TEXT NOT NULL,
  org TEXT NOT NULL,
  detail TEXT NOT NULL
);
CREATE INDEX access_audit_by_org ON access_audit (lower(org), id);
)sql";

// Rows are numbered in the order in which leases end, and no number comes twice: readers ask for
// what is above the last they know.
constexpr std::string_view kEndedLeases = R"sql(
CREATE TABLE access_ended_leases (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  job BIGINT NOT NULL,
  fence BIGINT NOT NULL,
  until_us BIGINT NOT NULL
);
)sql";

}  // namespace

const db::MigrationSet& access_migrations() {
  static constexpr std::array<db::Migration, 3> kMigrations = {
      db::Migration{1, "tokens and sessions", kCredentials},
      db::Migration{2, "audit log", kAudit},
      db::Migration{3, "ended leases", kEndedLeases},
  };
  static constexpr db::MigrationSet kSet{"access", kMigrations};
  return kSet;
}

}  // namespace nimbus::access
