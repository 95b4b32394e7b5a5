#include "access/audit.h"

#include <cinttypes>
#include <cstdio>

#include "base/encoding.h"
#include "base/log.h"
#include "base/random.h"

namespace nimbus::access {
namespace {

constexpr size_t kDetailBytesMax = 1024;

// Sixteen hexadecimal digits of time, so that ids sort by it, and eight that keep rows of the same
// microsecond apart, from whichever process.
std::string make_id(Time now) {
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016" PRIx64, static_cast<uint64_t>(to_us(now)));
  return digits + to_hex(system_random().bytes(4));
}

}  // namespace

Result<void> audit(db::Transaction& tx, Time now, const AuditEntry& entry) {
  const std::string detail =
      to_utf8_lossy(std::string_view(entry.detail).substr(0, kDetailBytesMax));
  TRY(
      tx.run("INSERT INTO access_audit (id, at_us, who, what, subject, org, detail) "
             "VALUES ($1, $2, $3, $4, $5, $6, $7)",
             make_id(now), now, entry.who, entry.what, entry.subject, entry.org, detail));
  return {};
}

void audit_later(db::Database& database, Time now, AuditEntry entry) {
  db::Work work = [now, entry = std::move(entry)](db::Transaction& tx) -> Result<void> {
    return audit(tx, now, entry);
  };
  database.submit_write(std::move(work), [](Result<void> result) {
    if (!result) log_error("writing the audit log", result.error());
  });
}

Task<Result<std::vector<AuditRow>>> list_audit(db::Database& database, OrgScope orgs,
                                               std::string cursor, int limit) {
  using Listed = std::vector<AuditRow>;
  std::function<Result<Listed>(db::Transaction&)> work =
      [orgs, cursor, limit](db::Transaction& tx) -> Result<Listed> {
    const OrgScope::Filter filter = orgs.filter("org", 2);
    std::vector<db::Parameter> parameters{cursor};
    if (filter.parameter) parameters.emplace_back(*filter.parameter);
    parameters.emplace_back(limit);
    const std::string sql =
        "SELECT id, at_us, who, what, subject, org, detail FROM access_audit "
        "WHERE ($1 = '' OR id < $1) AND " +
        filter.sql + " ORDER BY id DESC LIMIT $" + std::to_string(parameters.size());
    Listed listed;
    const db::Rows rows = TRY(tx.query_with(sql, parameters));
    for (const db::Row& row : rows) {
      listed.push_back({row.text(0),
                        row.time(1),
                        {row.text(2), row.text(3), row.text(4), row.text(5), row.text(6)}});
    }
    return listed;
  };
  co_return co_await database.read<Listed>(std::move(work));
}

Task<Result<int64_t>> sweep_audit(db::Database& database, Time now) {
  std::function<Result<int64_t>(db::Transaction&)> work =
      [now](db::Transaction& tx) -> Result<int64_t> {
    return tx.run("DELETE FROM access_audit WHERE at_us < $1", now - kAuditKept);
  };
  co_return co_await database.write<int64_t>(std::move(work));
}

}  // namespace nimbus::access
