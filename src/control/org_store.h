// The orgs and what each may use: limits on jobs, quotas on stored bytes, egress. An org is
// recorded when it is first seen, with the spelling seen then; names compare without case. What an
// admin has not set follows the installation's defaults, also later when those change.
//
// Threads: functions that take a Transaction run on a database thread (the store itself never
// changes); the rest the loop's.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "access/scope.h"
#include "base/clock.h"
#include "db/database.h"
#include "db/migrate.h"

namespace nimbus::control {

// Set "orgs"; needs nothing else in the database.
const db::MigrationSet& org_migrations();

enum class Egress { restricted, open };  // "default" and "open" in the API
std::string_view to_string(Egress egress);
std::optional<Egress> find_egress(std::string_view name);

// What holds for an org, nothing left out. 0 is without limit.
struct OrgLimits {
  int64_t jobs_per_minute = 120;
  int64_t concurrent_jobs = 20;
  int64_t cache_bytes_max = int64_t{50} << 30;
  int64_t registry_bytes_max = int64_t{100} << 30;
  Egress egress = Egress::restricted;
};

// What an admin has set; the rest is the default.
struct OrgSettings {
  std::optional<int64_t> jobs_per_minute;
  std::optional<int64_t> concurrent_jobs;
  std::optional<int64_t> cache_bytes_max;
  std::optional<int64_t> registry_bytes_max;
  std::optional<Egress> egress;
};

struct Org {
  std::string name;  // as first seen
  OrgSettings settings;
  OrgLimits limits;  // settings over defaults
  Time created_at;
};

class OrgStore {
 public:
  OrgStore(db::Database& database, const Clock& clock, OrgLimits defaults);

  // Records the org when it is new; its name as first seen. bad_request: not a name.
  Result<std::string> see_in(db::Transaction& tx, std::string_view name, Time now) const;
  // The limits that hold; the defaults when the org is not known.
  Result<OrgLimits> limits_in(db::Transaction& tx, std::string_view name) const;
  Result<std::optional<Org>> find_in(db::Transaction& tx, std::string_view name) const;
  // Every org, by name.
  Result<std::vector<Org>> all_in(db::Transaction& tx) const;

  Task<Result<std::optional<Org>>> find(std::string name);
  // Within `orgs`, by name, after `cursor` (a name; "" starts).
  Task<Result<std::vector<Org>>> list(access::OrgScope orgs, std::string cursor, int limit);
  // Edits the settings in one transaction, recording the org when it is new.
  Task<Result<Org>> change(std::string name, std::function<void(OrgSettings&)> edit,
                           std::string by);

  // Called on the loop after `change`: dispatch may have become possible.
  void on_change(std::function<void(std::string org)> call) { on_change_ = std::move(call); }
  const OrgLimits& defaults() const { return defaults_; }

 private:
  Org make(const db::Row& row) const;

  db::Database& database_;
  const Clock& clock_;
  OrgLimits defaults_;
  std::function<void(std::string)> on_change_;
};

}  // namespace nimbus::control
