#include "access/ended_leases.h"

#include <algorithm>

#include "access/job_token.h"

namespace nimbus::access {
namespace {

constexpr Duration kTrustMax = std::chrono::seconds(1);
constexpr Duration kReadAfter = kTrustMax / 2;
constexpr int kReadAtOnce = 10'000;

}  // namespace

Result<void> end_lease_in(db::Transaction& tx, model::JobId job, model::Fence fence, Time until,
                          Time now) {
  if (until + kJobTokenLeeway <= now) return {};
  TRY(tx.run("INSERT INTO access_ended_leases (job, fence, until_us) VALUES ($1, $2, $3)",
             job.value, fence.value, until + kJobTokenLeeway));
  return {};
}

// Writers commit one after another and rows are numbered in that order, so what is new is above
// what was read.
Task<Result<void>> EndedLeases::refresh() {
  const Duration asked_at = clock_.steady();
  const Duration age = asked_at - read_at_;
  if (read_ && (age < kReadAfter || (reading_ && age < kTrustMax))) co_return Result<void>();
  reading_ = true;
  for (bool more = true; more;) {
    std::function<Result<std::vector<Row>>(db::Transaction&)> work =
        [after = read_to_](db::Transaction& tx) -> Result<std::vector<Row>> {
      std::vector<Row> rows;
      for (const db::Row& row :
           TRY(tx.query("SELECT id, job, fence, until_us FROM access_ended_leases WHERE id > $1 "
                        "ORDER BY id LIMIT $2",
                        after, kReadAtOnce))) {
        rows.push_back({row.integer(0), row.integer(1), {row.integer(2), row.time(3)}});
      }
      return rows;
    };
    const auto rows = co_await database_.read<std::vector<Row>>(std::move(work));
    if (!rows) {
      reading_ = false;
      co_return fail(Error(rows.error()).in("checking whether the lease has ended"));
    }
    take(*rows);
    more = rows->size() == kReadAtOnce;
  }
  reading_ = false;
  read_ = true;
  read_at_ = std::max(read_at_, asked_at);
  co_return Result<void>();
}

void EndedLeases::take(const std::vector<Row>& rows) {
  const Time now = clock_.now();
  std::erase_if(ended_, [now](const auto& one) { return one.second.until <= now; });
  for (const Row& row : rows) {
    read_to_ = std::max(read_to_, row.id);
    Ended& ended = ended_[row.job];
    ended.fence = std::max(ended.fence, row.ended.fence);
    ended.until = std::max(ended.until, row.ended.until);
  }
}

Task<Result<bool>> EndedLeases::contains(model::JobId job, model::Fence fence) {
  CO_TRY(co_await refresh());
  const auto found = ended_.find(job.value);
  co_return found != ended_.end() && fence.value <= found->second.fence;
}

Task<Result<int64_t>> sweep_ended_leases(db::Database& database, Time now) {
  std::function<Result<int64_t>(db::Transaction&)> work =
      [now](db::Transaction& tx) -> Result<int64_t> {
    return tx.run("DELETE FROM access_ended_leases WHERE until_us <= $1", now);
  };
  co_return co_await database.write<int64_t>(std::move(work));
}

}  // namespace nimbus::access
