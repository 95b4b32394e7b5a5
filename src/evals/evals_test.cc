#include <doctest/doctest.h>

#include "evals/normalise.h"
#include "evals/summary.h"

using namespace nimbus::evals;

namespace {

std::vector<EvalCase> normalise(const Attributes& attributes, bool failed = false) {
  const Attributes resource = {{"service.name", "svc"}};
  EvalSource source{attributes,    resource, {},     "aa",   "bb",
                    1'000'000'000, 12.5,     failed, "boom", "job-7"};
  return cases_of(source);
}

}  // namespace

TEST_CASE("an eval2otel span with a GenAI evaluation becomes one case") {
  const auto cases = normalise({{"evalops.eval.id", "e1"},
                                {"evalops.run.id", "r1"},
                                {"evalops.case.id", "c1"},
                                {"evalops.dataset.id", "maths"},
                                {"eval.metric.name", "exact_match"},
                                {"gen_ai.evaluation.name", "exact_match"},
                                {"gen_ai.evaluation.score.value", "1"},
                                {"gen_ai.evaluation.score.label", "pass"},
                                {"gen_ai.usage.input_tokens", "12"},
                                {"gen_ai.usage.output_tokens", "3"},
                                {"gen_ai.request.model", "llama3"}});
  REQUIRE(cases.size() == 1);
  const EvalCase& one = cases[0];
  CHECK(one.suite == "maths");
  CHECK(one.run == "r1");
  CHECK(one.case_id == "c1");
  CHECK(one.metric == "exact_match");
  CHECK(one.score == 1.0);
  CHECK(one.passed == true);
  CHECK(one.input_tokens == 12);
  CHECK(one.output_tokens == 3);
  CHECK(one.model == "llama3");
  CHECK(one.duration_ms == 12.5);
}

TEST_CASE("a span without a score still is a case, named by its job") {
  const auto cases = normalise({{"evalops.eval.id", "e1"}});
  REQUIRE(cases.size() == 1);
  CHECK(cases[0].suite == "svc");
  CHECK(cases[0].run == "job-7");
  CHECK(cases[0].case_id == "e1");
  CHECK(!cases[0].passed.has_value());
  CHECK(!cases[0].score.has_value());
}

TEST_CASE("a failed span without a verdict has failed, with its message") {
  const auto cases = normalise({{"evalops.eval.id", "e1"}}, true);
  REQUIRE(cases.size() == 1);
  CHECK(cases[0].passed == false);
  CHECK(cases[0].label == "fail");
  CHECK(cases[0].error == "boom");
}

TEST_CASE("promptfoo, ragas and deprecated token names are understood") {
  const auto cases = normalise({{"eval.promptfoo.success", "false"},
                                {"eval.promptfoo.score", "0.25"},
                                {"eval.ragas.faithfulness", "0.5"},
                                {"gen_ai.usage.prompt_tokens", "9"}});
  REQUIRE(cases.size() == 2);
  CHECK(cases[0].metric == "promptfoo");
  CHECK(cases[0].passed == false);
  CHECK(cases[0].score == 0.25);
  CHECK(cases[1].metric == "faithfulness");
  CHECK(cases[1].score == 0.5);
  CHECK(cases[1].input_tokens == 9);
}

TEST_CASE("result events of a span are a metric each") {
  const Attributes attributes = {{"gen_ai.request.model", "m"}};
  const Attributes relevance = {{"gen_ai.evaluation.name", "Relevance"},
                                {"gen_ai.evaluation.score.value", "4.5"}};
  const Attributes safety = {{"gen_ai.evaluation.name", "Safety"},
                             {"gen_ai.evaluation.score.label", "fail"}};
  CHECK(!is_eval(attributes, false));
  REQUIRE(is_eval(attributes, true));
  const Attributes none;
  EvalSource source{attributes, none, {&relevance, &safety}, "aa", "bb", 1, {}, false, "", "job-1"};
  const auto cases = cases_of(source);
  REQUIRE(cases.size() == 2);
  CHECK(cases[0].score == 4.5);
  CHECK(!cases[0].passed.has_value());
  CHECK(cases[1].passed == false);
}

TEST_CASE("a summary counts a span's tokens once and a case as passed only when no metric failed") {
  std::vector<EvalCase> cases(4);
  for (EvalCase& one : cases) {
    one.suite = "s";
    one.run = "r";
    one.input_tokens = 10;
    one.output_tokens = 1;
    one.model = "m";
    one.ts_ns = 2'000'000'000;
    one.duration_ms = 500;
  }
  cases[0].case_id = cases[1].case_id = "a";
  cases[0].span_id = cases[1].span_id = "1";
  cases[0].passed = true;
  cases[1].passed = false;
  cases[2].case_id = "b";
  cases[2].passed = true;
  cases[2].score = 0.5;
  cases[3].case_id = "c";  // no verdict
  cases[3].score = 1;
  const auto summaries = summarise(cases);
  REQUIRE(summaries.size() == 1);
  CHECK(summaries[0].cases == 3);
  CHECK(summaries[0].passed == 1);
  CHECK(summaries[0].input_tokens == 30);
  CHECK(summaries[0].output_tokens == 3);
  CHECK(summaries[0].score_mean == 0.75);
  CHECK(summaries[0].duration_s == 0.5);
  CHECK(summaries[0].models.size() == 1);
}
