// nimbus log search|verify
#include <boost/json.hpp>
#include <cstdio>

#include "base/clock.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/job_print.h"
#include "cli/list_page.h"
#include "cli/option_checks.h"
#include "model/job.h"

namespace nimbus::cli {
namespace {

namespace json = boost::json;

std::string lines_text(const json::array& lines) {
  std::string out;
  for (const auto& value : lines) {
    if (!value.is_object()) continue;
    const auto& line = value.get_object();
    out += cell(line, "ts") + "  " + cell(line, "job") + "  " +
           printable(line.contains("text") ? cell(line, "text") : cell(line, "body")) + "\n";
  }
  return out;
}

Result<int> search(ApiClient& api, const Arguments& arguments) {
  const Time now = system_clock().now();
  std::optional<std::string> since;
  std::optional<std::string> until;
  if (const auto text = arguments.find("--since"))
    since = TRY_IN("--since", parse_when(*text, now));
  if (const auto text = arguments.find("--until"))
    until = TRY_IN("--until", parse_when(*text, now));
  std::optional<std::string> words;
  for (const std::string& word : arguments.words()) {
    words = words ? *words + " " + word : word;
  }
  const std::string query = query_of({{"q", words},
                                      {"org", arguments.find("--org")},
                                      {"repo", arguments.find("--repo")},
                                      {"job", arguments.find("--job")},
                                      {"level", arguments.find("--level")},
                                      {"since", since},
                                      {"until", until},
                                      {"limit", arguments.find("--limit").value_or("50")},
                                      {"cursor", arguments.find("--cursor")}});
  const auto page = TRY(api.call("GET", "/api/v1/logs" + query, "searching logs"));
  return print_page(page, arguments.has("--json"), lines_text);
}

// What the server counted of one execution; all zero for one that wrote nothing.
struct Counted {
  int64_t lines = 0;
  int64_t missing = 0;
};

Result<Counted> read_latest(const json::object& verdict) {
  const int64_t latest = TRY(read_int(verdict, "fence"));
  const json::array* executions = TRY(find_array(verdict, "executions"));
  Counted counted;
  if (executions == nullptr) return counted;
  for (const json::value& value : *executions) {
    const json::object* execution = value.if_object();
    if (execution == nullptr) return fail(Code::corrupt, "an execution is no object");
    if (TRY(read_int(*execution, "fence")) != latest) continue;
    counted.lines = TRY(read_int(*execution, "lines"));
    counted.missing = TRY(read_int(*execution, "missing"));
  }
  return counted;
}

Result<int> verify(ApiClient& api, const Arguments& arguments) {
  const std::string id = std::to_string(TRY(parse_job_id(arguments.words().at(0))));
  const auto answer =
      TRY(api.call("GET", "/api/v1/jobs/" + id + "/logs/verify", "verifying the log of job " + id));
  const json::object* verdict = answer.if_object();
  if (verdict == nullptr) return fail(Code::corrupt, "the server's answer is not an object");
  const std::string state = TRY_IN("the server's answer", read_text(*verdict, "state"));
  const Counted counted = TRY_IN("the server's answer", read_latest(*verdict));
  const auto known = model::find_job_state(state);
  const bool finished = known && model::is_final(*known);
  const bool whole = finished && counted.missing == 0;
  if (arguments.has("--json")) {
    print_json(json::object{{"job", std::stoll(id)},
                            {"state", state},
                            {"finished", finished},
                            {"lines", counted.lines},
                            {"missing", counted.missing},
                            {"complete", whole}});
  } else {
    const std::string missing =
        counted.missing == 0 ? "none missing" : std::to_string(counted.missing) + " missing";
    print_out("job " + id + ": " + std::to_string(counted.lines) + " lines, " + missing +
              (finished ? "" : " so far; the job has not finished (" + printable(state) + ")") +
              "\n");
  }
  return whole ? kExitDone : kExitFailed;
}

template <Result<int> (*kRun)(ApiClient&, const Arguments&)>
int command(const Arguments& arguments) {
  return with_server(arguments, [&](ApiClient& api) { return kRun(api, arguments); });
}

}  // namespace

std::vector<Command> log_commands() {
  std::vector<Command> commands;
  commands.push_back(
      {.noun = "log",
       .verb = "search",
       .summary = "Search the lines of all jobs",
       .example = "nimbus log search 'out of memory' --org acme --since 2h",
       .options = {{"--org", "ORG", "Of this org (default: all you may see)"},
                   {"--repo", "REPO", "Of this repository"},
                   {"--job", "ID", "Of this job", false, "", job_number},
                   {"--level", "LEVEL", "Of this level: debug, info, warn, error", false, "",
                    nullptr, log_levels},
                   {"--since", "TIME", "Since then: 2h, 3d, or 2026-01-31T12:00:00Z"},
                   {"--until", "TIME", "Before then, written the same way"},
                   kLimitOption,
                   kCursorOption},
       .words = {"[TEXT...]"},
       .talks_to_server = true,
       .run = command<search>});
  commands.push_back({.noun = "log",
                      .verb = "verify",
                      .summary = "Prove that no line of a job's log is missing",
                      .example = "nimbus log verify 12",
                      .words = {"JOB"},
                      .notes =
                          "Exit status: 0 when the job has finished and its latest execution's "
                          "log is whole, else 1.",
                      .talks_to_server = true,
                      .run = command<verify>});
  return commands;
}

}  // namespace nimbus::cli
