// A run of a suite in numbers. Pure arithmetic over its results.
//
// A case has passed when it has a verdict and none of its verdicts is a failure. Tokens and
// durations are a span's: several metrics of one span count them once.
#pragma once

#include <set>
#include <span>
#include <string>
#include <vector>

#include "evals/eval_case.h"

namespace nimbus::evals {

struct RunSummary {
  std::string suite;
  std::string run;
  int64_t cases = 0;
  int64_t passed = 0;
  std::optional<double> score_mean;  // over every score of the run
  int64_t input_tokens = 0;
  int64_t output_tokens = 0;
  int64_t started_ns = 0;
  double duration_s = 0;  // from the first start to the last end
  std::set<std::string> models;
};

// One summary for each (suite, run), by their names.
std::vector<RunSummary> summarise(std::span<const EvalCase> cases);

}  // namespace nimbus::evals
