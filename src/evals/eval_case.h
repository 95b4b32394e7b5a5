// One result of an eval suite: what one metric says about one case. Values, no I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace nimbus::evals {

struct EvalCase {
  std::string suite;
  std::string run;
  std::string case_id;
  std::string metric;  // empty: the case ran, and nothing was measured
  std::string model;
  std::optional<double> score;
  std::optional<bool> passed;  // nullopt: no verdict
  std::string label;           // as sent, else "pass" or "fail" where there is a verdict
  std::optional<int64_t> input_tokens;
  std::optional<int64_t> output_tokens;
  std::optional<double> duration_ms;
  std::string error;
  std::string trace_id;  // hexadecimal, may be empty
  std::string span_id;
  int64_t ts_ns = 0;
};

}  // namespace nimbus::evals
