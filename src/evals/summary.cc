#include "evals/summary.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace nimbus::evals {
namespace {

struct Run {
  RunSummary summary;
  std::map<std::string, std::optional<bool>> verdicts;  // of each case
  std::map<std::tuple<std::string, std::string, std::string>, std::pair<int64_t, int64_t>> tokens;
  double score_sum = 0;
  int64_t scores = 0;
  int64_t first_ns = INT64_MAX;
  int64_t last_ns = 0;
};

void add(Run& run, const EvalCase& one) {
  std::optional<bool>& verdict = run.verdicts[one.case_id];
  if (one.passed) verdict = verdict.value_or(true) && *one.passed;
  auto& [input, output] = run.tokens[{one.case_id, one.trace_id, one.span_id}];
  input = std::max(input, one.input_tokens.value_or(0));
  output = std::max(output, one.output_tokens.value_or(0));
  if (one.score) {
    run.score_sum += *one.score;
    ++run.scores;
  }
  run.first_ns = std::min(run.first_ns, one.ts_ns);
  const double duration_ns = one.duration_ms.value_or(0) * 1e6;
  run.last_ns = std::max(run.last_ns, one.ts_ns + static_cast<int64_t>(duration_ns));
  if (!one.model.empty()) run.summary.models.insert(one.model);
}

void finish(Run& run) {
  RunSummary& summary = run.summary;
  summary.cases = static_cast<int64_t>(run.verdicts.size());
  for (const auto& [id, verdict] : run.verdicts) summary.passed += verdict.value_or(false) ? 1 : 0;
  for (const auto& [span, tokens] : run.tokens) {
    summary.input_tokens += tokens.first;
    summary.output_tokens += tokens.second;
  }
  if (run.scores > 0) summary.score_mean = run.score_sum / static_cast<double>(run.scores);
  summary.started_ns = run.first_ns;
  summary.duration_s = static_cast<double>(run.last_ns - run.first_ns) / 1e9;
}

}  // namespace

std::vector<RunSummary> summarise(std::span<const EvalCase> cases) {
  std::map<std::pair<std::string, std::string>, Run> runs;
  for (const EvalCase& one : cases) {
    Run& run = runs[{one.suite, one.run}];
    run.summary.suite = one.suite;
    run.summary.run = one.run;
    add(run, one);
  }
  std::vector<RunSummary> summaries;
  for (auto& [name, run] : runs) {
    finish(run);
    summaries.push_back(std::move(run.summary));
  }
  return summaries;
}

}  // namespace nimbus::evals
