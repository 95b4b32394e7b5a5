#include "agent/journal.h"

#include "base/log.h"
#include "db/migrate.h"

namespace nimbus::agent {
namespace {

constexpr db::Migration kMigrations[] = {
    {1, "executions, machines and reports", R"(
CREATE TABLE executions (
  job BIGINT NOT NULL,
  fence BIGINT NOT NULL,
  slot BIGINT NOT NULL,
  assignment TEXT NOT NULL,
  lease_expires_us BIGINT NOT NULL,
  started BIGINT NOT NULL,
  log_seq BIGINT NOT NULL,
  event_seq BIGINT NOT NULL,
  ended BIGINT NOT NULL,
  PRIMARY KEY (job, fence)
);
CREATE TABLE machines (
  slot BIGINT PRIMARY KEY,
  identity TEXT NOT NULL
);
CREATE TABLE events (
  job BIGINT NOT NULL,
  fence BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (job, fence, seq)
);
)"},
    {2, "when a VM was last known to run", "ALTER TABLE executions ADD COLUMN alive_us BIGINT"},
};

constexpr db::MigrationSet kSet{"agent", kMigrations};

void log_failure(Result<void> outcome) {
  if (!outcome) log_error("journal note failed", outcome.error());
}

}  // namespace

Result<std::unique_ptr<Journal>> Journal::open(const std::string& path, Time now) {
  db::DatabaseOptions options;
  options.url = "sqlite:" + path;
  options.readers = 1;
  options.survives_power_loss = false;  // no VM does either
  auto database = TRY_IN("opening the agent's journal", db::Database::open(options));
  TRY_IN("preparing the agent's journal", db::migrate(*database, kSet, now));
  return std::unique_ptr<Journal>(new Journal(std::move(database)));
}

Result<std::vector<JournaledExecution>> Journal::read() {
  std::vector<JournaledExecution> executions;
  TRY_IN("reading the agent's journal", database_->read_now([&](db::Transaction& tx)
                                                                -> Result<void> {
    executions.clear();
    const auto rows = TRY(tx.query(
        "SELECT e.job, e.fence, e.slot, e.assignment, e.lease_expires_us, e.started, e.log_seq, "
        "e.event_seq, e.ended, m.identity, e.alive_us FROM executions e LEFT JOIN machines m "
        "ON m.slot = e.slot AND e.ended = 0 ORDER BY e.job, e.fence"));
    for (const db::Row& row : rows) {
      JournaledExecution execution;
      execution.key = {{row.integer(0)}, {row.integer(1)}};
      execution.slot = static_cast<int>(row.integer(2));
      execution.assignment = row.text(3);
      execution.lease_expires_at = row.time(4);
      execution.started = row.integer(5) != 0;
      execution.log_seq = row.integer(6);
      execution.event_seq = row.integer(7);
      execution.ended = row.integer(8) != 0;
      execution.machine = row.find_text(9).value_or("");
      execution.alive_at = row.find_time(10);
      const auto events =
          TRY(tx.query("SELECT seq, body FROM events WHERE job = $1 AND fence = $2 ORDER BY seq",
                       execution.key.job.value, execution.key.fence.value));
      for (const db::Row& event : events) {
        execution.events.push_back({event.integer(0), event.text(1)});
      }
      executions.push_back(std::move(execution));
    }
    return {};
  }));
  return executions;
}

Result<std::vector<std::pair<int, std::string>>> Journal::read_machines() {
  std::vector<std::pair<int, std::string>> machines;
  TRY(database_->read_now([&](db::Transaction& tx) -> Result<void> {
    machines.clear();
    for (const db::Row& row : TRY(tx.query("SELECT slot, identity FROM machines ORDER BY slot"))) {
      machines.emplace_back(static_cast<int>(row.integer(0)), row.text(1));
    }
    return {};
  }));
  return machines;
}

Task<Result<void>> Journal::run(db::Work work) {
  std::function<void(std::function<void(Result<void>)>)> start =
      [this, work = std::move(work)](std::function<void(Result<void>)> done) {
        database_->submit_write(work, std::move(done));
      };
  Result<void> outcome = co_await await_value<Result<void>>(std::move(start));
  if (!outcome) co_return fail(std::move(outcome.error()).in("writing the agent's journal"));
  co_return outcome;
}

Task<Result<void>> Journal::begin(JournaledExecution e) {
  return run([e = std::move(e)](db::Transaction& tx) -> Result<void> {
    TRY(
        tx.run("INSERT INTO executions (job, fence, slot, assignment, lease_expires_us, started, "
               "log_seq, event_seq, ended) VALUES ($1, $2, $3, $4, $5, 0, 0, 0, 0)",
               e.key.job.value, e.key.fence.value, e.slot, e.assignment, e.lease_expires_at));
    return {};
  });
}

Task<Result<void>> Journal::set_machine(int slot, std::string identity) {
  return run([slot, identity = std::move(identity)](db::Transaction& tx) -> Result<void> {
    TRY(tx.run("DELETE FROM machines WHERE slot = $1", slot));
    TRY(tx.run("INSERT INTO machines (slot, identity) VALUES ($1, $2)", slot, identity));
    return {};
  });
}

Task<Result<void>> Journal::forget_machine(int slot) {
  return run([slot](db::Transaction& tx) -> Result<void> {
    TRY(tx.run("DELETE FROM machines WHERE slot = $1", slot));
    return {};
  });
}

Task<Result<void>> Journal::set_started(ExecutionKey key) {
  return run([key](db::Transaction& tx) -> Result<void> {
    TRY(tx.run("UPDATE executions SET started = 1 WHERE job = $1 AND fence = $2", key.job.value,
               key.fence.value));
    return {};
  });
}

Task<Result<void>> Journal::add_event(ExecutionKey key, JournaledEvent event, bool last) {
  return run([key, event = std::move(event), last](db::Transaction& tx) -> Result<void> {
    TRY(tx.run("INSERT INTO events (job, fence, seq, body) VALUES ($1, $2, $3, $4)", key.job.value,
               key.fence.value, event.seq, event.body));
    TRY(tx.run("UPDATE executions SET event_seq = $1, ended = $2 WHERE job = $3 AND fence = $4",
               event.seq, last ? 1 : 0, key.job.value, key.fence.value));
    return {};
  });
}

Task<Result<void>> Journal::event_accepted(ExecutionKey key, int64_t seq) {
  return run([key, seq](db::Transaction& tx) -> Result<void> {
    TRY(tx.run("DELETE FROM events WHERE job = $1 AND fence = $2 AND seq = $3", key.job.value,
               key.fence.value, seq));
    return {};
  });
}

Task<Result<void>> Journal::end(ExecutionKey key) {
  return run([key](db::Transaction& tx) -> Result<void> {
    TRY(tx.run("DELETE FROM events WHERE job = $1 AND fence = $2", key.job.value, key.fence.value));
    TRY(tx.run("DELETE FROM executions WHERE job = $1 AND fence = $2", key.job.value,
               key.fence.value));
    return {};
  });
}

void Journal::note_lease(ExecutionKey key, Time expires_at, Time now) {
  database_->submit_write(
      [key, expires_at, now](db::Transaction& tx) -> Result<void> {
        TRY(
            tx.run("UPDATE executions SET lease_expires_us = $1, alive_us = $2 "
                   "WHERE job = $3 AND fence = $4",
                   expires_at, now, key.job.value, key.fence.value));
        return {};
      },
      log_failure);
}

void Journal::note_log_seq(ExecutionKey key, int64_t seq, Time now) {
  database_->submit_write(
      [key, seq, now](db::Transaction& tx) -> Result<void> {
        TRY(
            tx.run("UPDATE executions SET log_seq = $1, alive_us = $2 "
                   "WHERE job = $3 AND fence = $4",
                   seq, now, key.job.value, key.fence.value));
        return {};
      },
      log_failure);
}

}  // namespace nimbus::agent
