// Eval results read back: runs (a suite's results within one job) and the cases of one job. Built
// from the caller's org filter; see query_text.h.
//
// Only a job's latest execution counts.
//
// Threads: the loop's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "access/scope.h"
#include "evals/eval_case.h"
#include "telemetry/clickhouse_client.h"

namespace nimbus::telemetry {

constexpr size_t kEvalRunsMax = 1'000;
constexpr size_t kEvalRunsDefault = 100;
constexpr size_t kEvalCasesMax = 100'000;

struct EvalRunsQuery {
  access::OrgScope orgs;
  std::string repo;
  std::string suite;
  int64_t job = 0;
  std::string cursor;
  size_t limit = kEvalRunsDefault;
};
Result<EvalRunsQuery> parse_eval_runs_query(const net::Request& request,
                                            const access::OrgScope& orgs);
// {"items":[run…],"next_cursor":…}, newest job first.
Task<Result<std::string>> list_eval_runs(ClickhouseClient& client, EvalRunsQuery query);

struct JobEvals {
  std::string org;
  std::string repo;
  int64_t fence = 0;
  std::vector<evals::EvalCase> cases;
};
// nullopt: the job has none that the caller may see.
Task<Result<std::optional<JobEvals>>> read_job_evals(ClickhouseClient& client,
                                                     access::OrgScope orgs, int64_t job);
// The object of GET /api/v1/evals/runs/{job}.
std::string job_evals_json(int64_t job, const JobEvals& found);

}  // namespace nimbus::telemetry
