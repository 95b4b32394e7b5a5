// nimbus eval list|show
#include <boost/json.hpp>
#include <cstdio>

#include "base/clock.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/job_print.h"
#include "cli/list_page.h"

namespace nimbus::cli {
namespace {

namespace json = boost::json;

std::string tokens_of(const json::object& run) {
  return cell(run, "input_tokens") + "/" + cell(run, "output_tokens");
}

std::string runs_table(const json::array& runs) {
  const Time now = system_clock().now();
  Table table({{"JOB", Align::right},
               {"REPOSITORY", Align::left, 36},
               {"SUITE", Align::left, 36},
               {"PASSED", Align::right},
               {"SCORE", Align::right},
               {"TOKENS IN/OUT", Align::right},
               {"AGE", Align::right},
               {"MODELS", Align::left, 40}});
  for (const auto& value : runs) {
    if (!value.is_object()) continue;
    const auto& run = value.get_object();
    const auto* started = run.if_contains("started_at");
    table.add({cell(run, "job"), cell(run, "org") + "/" + cell(run, "repo"), cell(run, "suite"),
               cell(run, "passed") + "/" + cell(run, "cases"), cell(run, "score_mean"),
               tokens_of(run), started == nullptr ? "-" : age(*started, now), cell(run, "models")});
  }
  return table.text(stdout_takes_colour());
}

std::string cases_table(const json::array& cases) {
  Table table({{"CASE", Align::left, 48},
               {"MODEL", Align::left, 30},
               {"SCORE", Align::right},
               {"RESULT"},
               {"LABEL"},
               {"TOKENS IN/OUT", Align::right},
               {"MS", Align::right},
               {"ERROR", Align::left, 60}});
  for (const auto& value : cases) {
    if (!value.is_object()) continue;
    const auto& one = value.get_object();
    const std::string passed = cell(one, "passed");
    table.add({cell(one, "case"), cell(one, "model"), cell(one, "score"),
               passed == "true"    ? "passed"
               : passed == "false" ? "failed"
                                   : "-",
               cell(one, "label"), tokens_of(one), cell(one, "duration_ms"), cell(one, "error")});
  }
  return table.text(stdout_takes_colour());
}

Result<int> list(ApiClient& api, const Arguments& arguments) {
  const std::string query = query_of({{"org", arguments.find("--org")},
                                      {"repo", arguments.find("--repo")},
                                      {"limit", arguments.find("--limit").value_or("50")},
                                      {"cursor", arguments.find("--cursor")}});
  const auto page = TRY(api.call("GET", "/api/v1/evals/runs" + query, "listing eval runs"));
  return print_page(page, arguments.has("--json"), runs_table);
}

Result<int> show(ApiClient& api, const Arguments& arguments) {
  const std::string id = std::to_string(TRY(parse_job_id(arguments.words().at(0))));
  const auto run = TRY(api.call("GET", "/api/v1/evals/runs/" + id, "showing eval run " + id));
  if (arguments.has("--json")) {
    print_json(run);
    return kExitDone;
  }
  if (!run.is_object()) return fail(Code::corrupt, "the server's answer is not an object");
  print_out(runs_table(json::array{run}));
  const auto* cases = TRY(find_array(run.get_object(), "cases_detail"));
  if (cases != nullptr) print_out("\n" + cases_table(*cases));
  return kExitDone;
}

template <Result<int> (*kRun)(ApiClient&, const Arguments&)>
int command(const Arguments& arguments) {
  return with_server(arguments, [&](ApiClient& api) { return kRun(api, arguments); });
}

}  // namespace

std::vector<Command> eval_commands() {
  std::vector<Command> commands;
  commands.push_back({.noun = "eval",
                      .verb = "list",
                      .summary = "List eval runs, newest first",
                      .example = "nimbus eval list --repo demo",
                      .options = {{"--org", "ORG", "Of this org (default: all you may see)"},
                                  {"--repo", "REPO", "Of this repository"},
                                  kLimitOption,
                                  kCursorOption},
                      .talks_to_server = true,
                      .run = command<list>});
  commands.push_back({.noun = "eval",
                      .verb = "show",
                      .summary = "Show an eval run with its cases",
                      .example = "nimbus eval show 12",
                      .words = {"JOB"},
                      .talks_to_server = true,
                      .run = command<show>});
  return commands;
}

}  // namespace nimbus::cli
