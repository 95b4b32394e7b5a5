#include "control/org_store.h"

#include <array>

#include "access/audit.h"
#include "base/text.h"

namespace nimbus::control {
namespace {

// `key` is the name in lower case. A setting that is NULL follows the installation's default.
// log_bytes_max is written and read no more.
constexpr std::string_view kOrgs = R"sql(
CREATE TABLE orgs (
  key TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  created_us BIGINT NOT NULL,
  jobs_per_minute BIGINT,
  concurrent_jobs BIGINT,
  cache_bytes_max BIGINT,
  registry_bytes_max BIGINT,
  log_bytes_max BIGINT,
  egress TEXT
);
)sql";

constexpr std::string_view kColumns =
    "name, created_us, jobs_per_minute, concurrent_jobs, cache_bytes_max, registry_bytes_max, "
    "egress";

OrgLimits over(OrgLimits limits, const OrgSettings& settings) {
  limits.jobs_per_minute = settings.jobs_per_minute.value_or(limits.jobs_per_minute);
  limits.concurrent_jobs = settings.concurrent_jobs.value_or(limits.concurrent_jobs);
  limits.cache_bytes_max = settings.cache_bytes_max.value_or(limits.cache_bytes_max);
  limits.registry_bytes_max = settings.registry_bytes_max.value_or(limits.registry_bytes_max);
  limits.egress = settings.egress.value_or(limits.egress);
  return limits;
}

std::string describe(const OrgSettings& settings) {
  std::string text;
  const auto add = [&text](std::string_view name, const std::string& value) {
    if (!text.empty()) text += ", ";
    text += std::string(name) + " " + value;
  };
  const auto number = [](const std::optional<int64_t>& value) {
    return value ? std::to_string(*value) : std::string("default");
  };
  add("jobs_per_minute", number(settings.jobs_per_minute));
  add("concurrent_jobs", number(settings.concurrent_jobs));
  add("cache_bytes_max", number(settings.cache_bytes_max));
  add("registry_bytes_max", number(settings.registry_bytes_max));
  add("egress", settings.egress ? std::string(to_string(*settings.egress)) : "as configured");
  return text;
}

}  // namespace

const db::MigrationSet& org_migrations() {
  static constexpr std::array<db::Migration, 1> kMigrations = {db::Migration{1, "orgs", kOrgs}};
  static constexpr db::MigrationSet kSet{"orgs", kMigrations};
  return kSet;
}

std::string_view to_string(Egress egress) { return egress == Egress::open ? "open" : "default"; }

std::optional<Egress> find_egress(std::string_view name) {
  if (name == "default") return Egress::restricted;
  if (name == "open") return Egress::open;
  return std::nullopt;
}

OrgStore::OrgStore(db::Database& database, const Clock& clock, OrgLimits defaults)
    : database_(database), clock_(clock), defaults_(defaults) {}

Org OrgStore::make(const db::Row& row) const {
  Org org;
  org.name = row.text(0);
  org.created_at = row.time(1);
  org.settings.jobs_per_minute = row.find_integer(2);
  org.settings.concurrent_jobs = row.find_integer(3);
  org.settings.cache_bytes_max = row.find_integer(4);
  org.settings.registry_bytes_max = row.find_integer(5);
  if (const auto egress = row.find_text(6)) org.settings.egress = find_egress(*egress);
  org.limits = over(defaults_, org.settings);
  return org;
}

Result<std::string> OrgStore::see_in(db::Transaction& tx, std::string_view name, Time now) const {
  TRY(access::check_org_name(name));
  const std::string key = to_lower(name);
  const auto row = TRY(tx.find("SELECT name FROM orgs WHERE key = $1", key));
  if (row) return row->text(0);
  TRY(tx.run("INSERT INTO orgs (key, name, created_us) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
             key, name, now));
  // Another process may have been first.
  const auto stored = TRY(tx.find("SELECT name FROM orgs WHERE key = $1", key));
  return stored ? stored->text(0) : std::string(name);
}

Result<std::optional<Org>> OrgStore::find_in(db::Transaction& tx, std::string_view name) const {
  const auto row =
      TRY(tx.find("SELECT " + std::string(kColumns) + " FROM orgs WHERE key = $1", to_lower(name)));
  if (!row) return std::nullopt;
  return make(*row);
}

Result<OrgLimits> OrgStore::limits_in(db::Transaction& tx, std::string_view name) const {
  const auto org = TRY(find_in(tx, name));
  return org ? org->limits : defaults_;
}

Result<std::vector<Org>> OrgStore::all_in(db::Transaction& tx) const {
  std::vector<Org> orgs;
  const db::Rows rows =
      TRY(tx.query("SELECT " + std::string(kColumns) + " FROM orgs ORDER BY key"));
  for (const db::Row& row : rows) orgs.push_back(make(row));
  return orgs;
}

Task<Result<std::optional<Org>>> OrgStore::find(std::string name) {
  using Found = std::optional<Org>;
  std::function<Result<Found>(db::Transaction&)> work =
      [this, name = std::move(name)](db::Transaction& tx) { return find_in(tx, name); };
  co_return co_await database_.read<Found>(std::move(work));
}

Task<Result<std::vector<Org>>> OrgStore::list(access::OrgScope orgs, std::string cursor,
                                              int limit) {
  using Listed = std::vector<Org>;
  std::function<Result<Listed>(db::Transaction&)> work =
      [this, orgs, cursor = to_lower(cursor), limit](db::Transaction& tx) -> Result<Listed> {
    const access::OrgScope::Filter filter = orgs.filter("key", 2);
    std::vector<db::Parameter> parameters{cursor};
    if (filter.parameter) parameters.emplace_back(*filter.parameter);
    parameters.emplace_back(limit);
    const std::string sql = "SELECT " + std::string(kColumns) + " FROM orgs WHERE key > $1 AND " +
                            filter.sql + " ORDER BY key LIMIT $" +
                            std::to_string(parameters.size());
    Listed listed;
    for (const db::Row& row : TRY(tx.query_with(sql, parameters))) listed.push_back(make(row));
    return listed;
  };
  co_return co_await database_.read<Listed>(std::move(work));
}

Task<Result<Org>> OrgStore::change(std::string name, std::function<void(OrgSettings&)> edit,
                                   std::string by) {
  std::function<Result<Org>(db::Transaction&)> work =
      [this, name = std::move(name), edit = std::move(edit), by = std::move(by),
       now = clock_.now()](db::Transaction& tx) -> Result<Org> {
    const std::string stored = TRY(see_in(tx, name, now));
    auto org = TRY(find_in(tx, stored));
    if (!org) return fail(Code::internal, "the org vanished while it was being changed");
    OrgSettings& to = org->settings;
    edit(to);
    std::optional<std::string> egress;
    if (to.egress) egress = to_string(*to.egress);
    TRY(
        tx.run("UPDATE orgs SET jobs_per_minute = $1, concurrent_jobs = $2, cache_bytes_max = $3, "
               "registry_bytes_max = $4, egress = $5 WHERE key = $6",
               to.jobs_per_minute, to.concurrent_jobs, to.cache_bytes_max, to.registry_bytes_max,
               egress, to_lower(stored)));
    TRY(access::audit(tx, now, {by, "org changed", stored, stored, describe(to)}));
    org->limits = over(defaults_, to);
    return std::move(*org);
  };
  CO_TRY_ASSIGN(Org org, co_await database_.write<Org>(std::move(work)));
  if (on_change_) on_change_(org.name);
  co_return org;
}

}  // namespace nimbus::control
