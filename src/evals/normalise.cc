#include "evals/normalise.h"

#include <array>
#include <charconv>
#include <cmath>

#include "base/text.h"

namespace nimbus::evals {
namespace {

// What one metric of a case says.
struct Verdict {
  std::string metric;
  std::optional<double> score;
  std::optional<bool> passed;
  std::string label;
};

std::optional<double> find_number(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(number)) {
    return std::nullopt;
  }
  return number;
}

std::optional<int64_t> find_tokens(std::string_view text) {
  const auto number = find_number(text);
  if (!number || *number < 0 || *number > 1e15) return std::nullopt;
  return static_cast<int64_t>(*number);
}

std::optional<bool> verdict_of(std::string_view word) {
  constexpr std::array<std::string_view, 7> kPass = {"pass", "passed",  "true", "success",
                                                     "ok",   "correct", "yes"};
  constexpr std::array<std::string_view, 7> kFail = {"fail",  "failed",    "false", "failure",
                                                     "error", "incorrect", "no"};
  for (const std::string_view known : kPass) {
    if (equal_ignoring_case(word, known)) return true;
  }
  for (const std::string_view known : kFail) {
    if (equal_ignoring_case(word, known)) return false;
  }
  return std::nullopt;
}

// gen_ai.evaluation.* of a span or of a result event; nullopt when there is none.
std::optional<Verdict> convention_verdict(const Attributes& attributes) {
  const std::string_view name = find_attribute(attributes, {"gen_ai.evaluation.name"});
  const std::string_view score = find_attribute(attributes, {"gen_ai.evaluation.score.value"});
  const std::string_view label = find_attribute(attributes, {"gen_ai.evaluation.score.label"});
  if (name.empty() && score.empty() && label.empty()) return std::nullopt;
  Verdict verdict;
  verdict.metric = name.empty() ? find_attribute(attributes, {"eval.metric.name"}) : name;
  verdict.score = find_number(score);
  verdict.label = label;
  verdict.passed = verdict_of(label);
  return verdict;
}

// eval.metric.name with a score beside it.
std::optional<Verdict> named_metric(const Attributes& attributes) {
  const std::string_view name = find_attribute(attributes, {"eval.metric.name"});
  if (name.empty()) return std::nullopt;
  Verdict verdict;
  verdict.metric = name;
  verdict.score = find_number(find_attribute(
      attributes, {"eval.metric.score", "eval.metric.value", "eval.score", "evalops.score"}));
  verdict.label = find_attribute(attributes, {"eval.metric.label", "eval.label"});
  verdict.passed = verdict_of(verdict.label);
  return verdict;
}

// eval.promptfoo.*, eval.deepeval.*: a success and perhaps a score.
void add_framework(const Attributes& attributes, std::string_view name, std::vector<Verdict>& out) {
  const std::string prefix = "eval." + std::string(name) + ".";
  const std::string_view success = find_attribute(attributes, {prefix + "success"});
  const std::string_view score = find_attribute(attributes, {prefix + "score"});
  if (success.empty() && score.empty()) return;
  out.push_back({std::string(name), find_number(score), verdict_of(success), {}});
}

// Each numeric attribute under a prefix is a metric of its own.
void add_numbers(const Attributes& attributes, std::string_view prefix, std::vector<Verdict>& out) {
  for (const auto& [key, value] : attributes) {
    if (!key.starts_with(prefix)) continue;
    const auto score = find_number(value);
    if (score) out.push_back({key.substr(prefix.size()), score, std::nullopt, {}});
  }
}

std::vector<Verdict> verdicts_of(const EvalSource& source) {
  std::vector<Verdict> verdicts;
  if (auto verdict = convention_verdict(source.attributes)) verdicts.push_back(std::move(*verdict));
  for (const Attributes* event : source.result_events) {
    if (auto verdict = convention_verdict(*event)) verdicts.push_back(std::move(*verdict));
  }
  if (verdicts.empty()) {
    if (auto verdict = named_metric(source.attributes)) verdicts.push_back(std::move(*verdict));
  }
  add_framework(source.attributes, "promptfoo", verdicts);
  add_framework(source.attributes, "deepeval", verdicts);
  add_numbers(source.attributes, "eval.ragas.", verdicts);
  for (const std::string_view name :
       {"faithfulness", "answer_relevance", "context_precision", "context_recall"}) {
    const auto score =
        find_number(find_attribute(source.attributes, {"gen_ai.rag." + std::string(name)}));
    if (score) verdicts.push_back({std::string(name), score, std::nullopt, {}});
  }
  if (verdicts.empty()) verdicts.emplace_back();
  return verdicts;
}

// What the span as a whole says about passing: its own flag, a finish reason, or that it failed.
std::optional<bool> overall_verdict(const EvalSource& source) {
  const auto flag = verdict_of(find_attribute(
      source.attributes, {"evalops.passed", "eval.passed", "eval.success", "evalops.verdict"}));
  if (flag) return flag;
  // An array as JSON text: ["pass"].
  const std::string_view reasons =
      find_attribute(source.attributes, {"gen_ai.response.finish_reasons"});
  if (reasons.find("\"pass\"") != std::string_view::npos) return true;
  if (reasons.find("\"fail\"") != std::string_view::npos) return false;
  return source.failed ? std::optional<bool>(false) : std::nullopt;
}

EvalCase base_case(const EvalSource& source) {
  const Attributes& own = source.attributes;
  EvalCase result;
  result.suite = find_attribute(own, {"evalops.dataset.id", "evalops.suite.id", "evalops.suite",
                                      "eval.suite", "eval.dataset"});
  if (result.suite.empty()) {
    result.suite =
        find_attribute(source.resource, {"evalops.dataset.id", "evalops.suite", "service.name"});
  }
  if (result.suite.empty()) result.suite = "default";
  result.run = find_attribute(own, {"evalops.run.id", "eval.run.id"});
  if (result.run.empty()) result.run = find_attribute(source.resource, {"evalops.run.id"});
  if (result.run.empty()) result.run = source.default_run;
  result.case_id = find_attribute(
      own, {"evalops.case.id", "eval.case.id", "evalops.eval.id", "gen_ai.response.id"});
  if (result.case_id.empty()) result.case_id = source.span_id;
  result.model = find_attribute(own, {"gen_ai.request.model", "gen_ai.response.model"});
  result.input_tokens =
      find_tokens(find_attribute(own, {"gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"}));
  result.output_tokens = find_tokens(
      find_attribute(own, {"gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"}));
  result.duration_ms = source.duration_ms;
  if (source.failed) result.error = source.status_message;
  if (result.error.empty()) result.error = find_attribute(own, {"error.type"});
  result.trace_id = source.trace_id;
  result.span_id = source.span_id;
  result.ts_ns = source.ts_ns;
  return result;
}

void add_name(Attributes& attributes, std::string_view current, std::string_view deprecated) {
  if (!find_attribute(attributes, {current}).empty()) return;
  const std::string value(find_attribute(attributes, {deprecated}));
  if (!value.empty()) attributes.emplace_back(current, value);
}

}  // namespace

std::string_view find_attribute(const Attributes& attributes,
                                std::initializer_list<std::string_view> keys) {
  for (const std::string_view wanted : keys) {
    for (const auto& [key, value] : attributes) {
      if (key == wanted) return value;
    }
  }
  return {};
}

bool is_eval(const Attributes& attributes, bool has_result_events) {
  if (has_result_events) return true;
  for (const auto& [key, value] : attributes) {
    if (key.starts_with("evalops.") || key.starts_with("eval.") ||
        key.starts_with("gen_ai.evaluation.")) {
      return true;
    }
  }
  return false;
}

std::vector<EvalCase> cases_of(const EvalSource& source) {
  const EvalCase base = base_case(source);
  const std::optional<bool> overall = overall_verdict(source);
  std::vector<EvalCase> cases;
  for (Verdict& verdict : verdicts_of(source)) {
    EvalCase one = base;
    one.metric = std::move(verdict.metric);
    one.score = verdict.score;
    one.passed = verdict.passed ? verdict.passed : overall;
    one.label = std::move(verdict.label);
    if (one.label.empty() && one.passed) one.label = *one.passed ? "pass" : "fail";
    cases.push_back(std::move(one));
  }
  return cases;
}

void add_current_names(Attributes& attributes) {
  add_name(attributes, "gen_ai.provider.name", "gen_ai.system");
  add_name(attributes, "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens");
  add_name(attributes, "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens");
}

}  // namespace nimbus::evals
