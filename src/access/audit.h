// The audit log: who did what to whom, when. Rows are written in the transaction of the change they
// tell about, so neither exists without the other. Nothing secret stands in them.
//
// Threads: `audit` a database thread (inside a transaction); the rest the loop's.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "access/scope.h"
#include "base/time.h"
#include "db/database.h"

namespace nimbus::access {

constexpr Duration kAuditKept = std::chrono::hours(24 * 400);

struct AuditEntry {
  std::string who;      // a Caller's id, "github", or "nimbus" for our own acts
  std::string what;     // "token created", "agent revoked", "stale fence refused"
  std::string subject;  // the id of the thing: "tok-…", "agent-…", "job-12"
  std::string org;      // whose thing it is; "" for the installation's
  std::string detail;   // for people; may be empty
};

struct AuditRow {
  std::string id;  // sorts by time
  Time at;
  AuditEntry entry;
};

Result<void> audit(db::Transaction& tx, Time now, const AuditEntry& entry);
// A row of its own, not waited for: refusals, which change nothing else.
void audit_later(db::Database& database, Time now, AuditEntry entry);
// Newest first, after `cursor` (an id; "" starts). A scope of one org sees that org's rows alone.
Task<Result<std::vector<AuditRow>>> list_audit(db::Database& database, OrgScope orgs,
                                               std::string cursor, int limit);
// Deletes rows older than kAuditKept; how many.
Task<Result<int64_t>> sweep_audit(db::Database& database, Time now);

}  // namespace nimbus::access
