// The tables of deliveries, jobs and leases: set "control". Needs nothing else in the database.
//
// What is written on the intake's hot path is kept small: a plain queued job is one row of `jobs`,
// one of `deliveries` and one of `job_terms` a label; its first transition, "queued, nothing to
// say", is implied by the job's row; and the index by org, whose pages lie apart, takes a job up
// when it leaves the queue. Queries name the half they want, `state = 'queued'` or `state <>
// 'queued'`.
#pragma once

#include "db/migrate.h"

namespace nimbus::control {

const db::MigrationSet& control_migrations();

}  // namespace nimbus::control
