// Eval results out of OpenTelemetry spans and events, whoever made them: eval2otel v1 (`evalops.*`,
// `eval.*`), the GenAI conventions (`gen_ai.evaluation.*`, `gen_ai.usage.*` and their deprecated
// names), promptfoo, DeepEval and RAGAS attributes. Liberal: whatever is absent stays empty.
//
// Threads: pure functions.
// Not here: decoding OTLP (telemetry/otlp_*.cc).
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "evals/eval_case.h"

namespace nimbus::evals {

// Keys and values as text; numbers in decimal, booleans "true" or "false".
using Attributes = std::vector<std::pair<std::string, std::string>>;

constexpr std::string_view kResultEvent = "gen_ai.evaluation.result";

// A span, or a log record that is an event. Everything is borrowed.
struct EvalSource {
  const Attributes& attributes;
  const Attributes& resource;
  std::vector<const Attributes*> result_events;  // those of a span named kResultEvent
  std::string_view trace_id;
  std::string_view span_id;
  int64_t ts_ns = 0;
  std::optional<double> duration_ms;
  bool failed = false;  // the span's status is an error
  std::string_view status_message;
  std::string_view default_run;
};

// Whether there is anything of an eval in it; cheap.
bool is_eval(const Attributes& attributes, bool has_result_events);
// At least one case when is_eval, one for each metric otherwise.
std::vector<EvalCase> cases_of(const EvalSource& source);

// Adds today's names where only deprecated ones are given (gen_ai.system,
// gen_ai.usage.prompt_tokens, gen_ai.usage.completion_tokens).
void add_current_names(Attributes& attributes);

// The value of the first of the keys that is there.
std::string_view find_attribute(const Attributes& attributes,
                                std::initializer_list<std::string_view> keys);

}  // namespace nimbus::evals
