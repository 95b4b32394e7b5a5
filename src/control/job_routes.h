// /api/v1/jobs: queue a native job, list, show, cancel, run again. Threads: the loop's.
#pragma once

#include "access/authenticator.h"
#include "base/clock.h"
#include "control/batch_writer.h"
#include "control/board.h"
#include "control/job_request.h"
#include "control/job_store.h"
#include "control/org_store.h"
#include "db/database.h"
#include "net/router.h"

namespace nimbus::control {

struct JobRoutesParts {
  db::Database& database;
  BatchWriter& writer;
  access::Authenticator& authenticator;
  const OrgStore& orgs;
  Board& board;
  const Clock& clock;
  JobDefaults defaults;
};

void add_job_routes(net::Router& router, JobRoutesParts parts);

// The filters of GET /api/v1/jobs. bad_request names the parameter.
Result<JobFilter> read_job_filter(const net::Request& request, const access::OrgScope& orgs);

}  // namespace nimbus::control
