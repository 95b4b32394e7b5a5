// Leases that ended before their tokens did. A job token is valid until its lease would run out; a
// lease that ends sooner (the job finished, was cancelled, was given to another agent) is written
// here in the transaction that ends it, and its token opens nothing of the org's any more.
//
// `contains` answers from memory. Memory is trusted for a second at most, then one small read
// brings what ended since, so an end holds within a second in every process of the database. When
// the database is away nobody is let in on old knowledge. What is kept, here and in the table, ends
// by itself with the tokens: as much as ends within one lease's time.
//
// Threads: the loop's; the functions that take a Transaction run on a database thread.
#pragma once

#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/task.h"
#include "db/database.h"
#include "model/ids.h"

namespace nimbus::access {

// Writes that this execution's lease is over. `until`: when the lease would have run out; what is
// past already is not worth a row.
Result<void> end_lease_in(db::Transaction& tx, model::JobId job, model::Fence fence, Time until,
                          Time now);

// Deletes rows whose tokens have run out; how many. Control's housekeeping calls it.
Task<Result<int64_t>> sweep_ended_leases(db::Database& database, Time now);

class EndedLeases {
 public:
  EndedLeases(db::Database& database, const Clock& clock) : database_(database), clock_(clock) {}

  // Whether this execution, or a later one of the job, has ended. unavailable: the database is
  // away.
  Task<Result<bool>> contains(model::JobId job, model::Fence fence);

 private:
  struct Ended {
    int64_t fence = 0;
    Time until;
  };
  struct Row {
    int64_t id = 0;
    int64_t job = 0;
    Ended ended;
  };

  Task<Result<void>> refresh();
  void take(const std::vector<Row>& rows);

  db::Database& database_;
  const Clock& clock_;
  std::unordered_map<int64_t, Ended> ended_;  // by job
  int64_t read_to_ = 0;                       // the last row that was read
  bool read_ = false;
  Duration read_at_{0};  // steady
  bool reading_ = false;
};

}  // namespace nimbus::access
