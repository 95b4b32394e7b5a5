// nimbus job list|show|logs|cancel|rerun
#include <boost/json.hpp>
#include <cstdio>

#include "base/clock.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/job_print.h"
#include "cli/list_page.h"
#include "cli/option_checks.h"

namespace nimbus::cli {
namespace {

namespace json = boost::json;

constexpr int64_t kLinesPerPage = 1000;

std::string job_path(int64_t id) { return "/api/v1/jobs/" + std::to_string(id); }

Result<int64_t> job_of(const Arguments& arguments) { return parse_job_id(arguments.words().at(0)); }

Result<int> list(ApiClient& api, const Arguments& arguments) {
  const Time now = system_clock().now();
  std::optional<std::string> since;
  if (const auto text = arguments.find("--since"))
    since = TRY_IN("--since", parse_when(*text, now));
  std::string query = query_of({{"org", arguments.find("--org")},
                                {"repo", arguments.find("--repo")},
                                {"state", arguments.find("--state")},
                                {"since", since},
                                {"limit", arguments.find("--limit").value_or("50")},
                                {"cursor", arguments.find("--cursor")}});
  for (const char* name : {"label", "metadata"}) {
    for (const auto& value : arguments.all("--" + std::string(name))) {
      query += "&" + std::string(name) + "=" + net::percent_encode(value);
    }
  }
  const auto page = TRY(api.call("GET", "/api/v1/jobs" + query, "listing jobs"));
  return print_page(page, arguments.has("--json"), [now](const json::array& items) {
    return jobs_table(items, now, stdout_takes_colour());
  });
}

Result<int> show(ApiClient& api, const Arguments& arguments) {
  const int64_t id = TRY(job_of(arguments));
  const auto job = TRY(api.call("GET", job_path(id), "showing job " + std::to_string(id)));
  if (arguments.has("--json")) {
    print_json(job);
  } else if (job.is_object()) {
    print_out(job_details(job.get_object(), system_clock().now(), stdout_takes_colour()));
  }
  return kExitDone;
}

Task<int> follow_log(ApiClient& api, int64_t id, LinePrinter printer, int64_t after) {
  auto on_line = [&printer](const LogLine& line) { return printer.print(line); };
  auto say = [](const std::string& text) {
    std::fprintf(stderr, "nimbus: %s\n", printable(text).c_str());
  };
  Follow wanted{id, after, std::move(on_line), std::move(say)};
  const auto end = co_await follow_job(api, std::move(wanted));
  if (!end) co_return complain(end.error());
  if (end->missing > 0) {
    std::fprintf(stderr, "nimbus: %lld lines are missing\n", static_cast<long long>(end->missing));
  }
  co_return kExitDone;
}

// Whole pages until one is not full.
Task<int> read_log(ApiClient& api, std::string path, LinePrinter printer, int64_t after) {
  for (;;) {
    auto request = api.request("GET", path + "&after=" + std::to_string(after));
    std::string doing = "reading the log";
    const auto answer = co_await api.send(std::move(request), std::move(doing));
    if (!answer) co_return complain(answer.error());
    int64_t lines = 0;
    std::string_view rest = answer->body;
    while (!rest.empty()) {
      const size_t end = rest.find('\n');
      const std::string_view text = rest.substr(0, end);
      rest = end == std::string_view::npos ? "" : rest.substr(end + 1);
      if (text.empty()) continue;
      const auto line = parse_log_line(text);
      if (!line) co_return complain(Error(line.error()).in("the server's answer"));
      ++lines;
      after = line->seq;
      if (!printer.print(*line)) co_return kExitDone;
    }
    if (lines < kLinesPerPage) co_return kExitDone;
  }
}

Result<int> logs(ApiClient& api, const Arguments& arguments) {
  const int64_t id = TRY(job_of(arguments));
  const int64_t after = TRY(arguments.find_integer("--after", 0, INT64_MAX)).value_or(0);
  const LinePrinter printer(LineTarget::out, arguments.has("--json"),
                            arguments.has("--timestamps"));
  if (arguments.has("--follow")) return api.complete(follow_log(api, id, printer, after));
  std::string path = job_path(id) + "/logs?limit=" + std::to_string(kLinesPerPage);
  if (const auto fence = TRY(arguments.find_integer("--fence", 1, INT64_MAX))) {
    path += "&fence=" + std::to_string(*fence);
  }
  return api.complete(read_log(api, path, printer, after));
}

Result<int> cancel(ApiClient& api, const Arguments& arguments) {
  const int64_t id = TRY(job_of(arguments));
  const std::string name = "job " + std::to_string(id);
  const auto job = TRY(api.call("POST", job_path(id) + "/cancel", "cancelling " + name));
  if (arguments.has("--json")) {
    print_json(job);
  } else if (job.is_object()) {
    const std::string state = cell(job.get_object(), "state");
    print_out(name +
              (state == "cancelled" ? " is cancelled\n" : " is " + state + ", to be cancelled\n"));
  }
  return kExitDone;
}

Result<int> rerun(ApiClient& api, const Arguments& arguments) {
  const int64_t id = TRY(job_of(arguments));
  const auto created = TRY(
      api.call("POST", job_path(id) + "/rerun", "running job " + std::to_string(id) + " again"));
  if (arguments.has("--json")) {
    print_json(created);
  } else if (created.is_object()) {
    const std::string job = cell(created.get_object(), "id");
    print_out("job " + job + " is queued\n");
    std::fprintf(stderr, "follow it with: nimbus job logs -f %s\n", job.c_str());
  }
  return kExitDone;
}

template <Result<int> (*kRun)(ApiClient&, const Arguments&)>
int command(const Arguments& arguments) {
  return with_server(arguments, [&](ApiClient& api) { return kRun(api, arguments); });
}

}  // namespace

std::vector<Command> job_commands() {
  std::vector<Command> commands;
  commands.push_back(
      {.noun = "job",
       .verb = "list",
       .summary = "List jobs, newest first",
       .example = "nimbus job list --state queued,running --org acme",
       .options = {{"--state", "STATES",
                    "Of these states: queued, leased, running, succeeded, failed, ...", false, "",
                    job_states, job_state_names},
                   {"--org", "ORG", "Of this org (default: all you may see)"},
                   {"--repo", "REPO", "Of this repository"},
                   {"--label", "LABEL", "With this label", true},
                   {"--metadata", "KEY=VALUE", "With this note", true, "", key_and_value},
                   {"--since", "TIME", "Made since then: 2h, 3d, or 2026-01-31T12:00:00Z"},
                   kLimitOption,
                   kCursorOption},
       .talks_to_server = true,
       .run = command<list>});
  commands.push_back({.noun = "job",
                      .verb = "show",
                      .summary = "Show a job with every transition",
                      .example = "nimbus job show 12",
                      .words = {"ID"},
                      .talks_to_server = true,
                      .run = command<show>});
  commands.push_back(
      {.noun = "job",
       .verb = "logs",
       .summary = "Print a job's log",
       .example = "nimbus job logs -f 12",
       .options = {{"--follow", "", "Go on until the job has ended", false, "-f"},
                   {"--timestamps", "", "Start each line with its time", false, "-t"},
                   {"--after", "SEQ", "Only lines after this number (default 0)", false, "",
                    integer_between<0, INT64_MAX>},
                   {"--fence", "N", "Of an earlier execution (default: the latest)", false, "",
                    integer_between<1, INT64_MAX>}},
       .words = {"ID"},
       .talks_to_server = true,
       .run = command<logs>});
  commands.push_back({.noun = "job",
                      .verb = "cancel",
                      .summary = "Cancel a job; its microVM ends within seconds",
                      .example = "nimbus job cancel 12",
                      .words = {"ID"},
                      .talks_to_server = true,
                      .run = command<cancel>});
  commands.push_back({.noun = "job",
                      .verb = "rerun",
                      .summary = "Run a job again, as a new job",
                      .example = "nimbus job rerun 12",
                      .words = {"ID"},
                      .talks_to_server = true,
                      .run = command<rerun>});
  return commands;
}

}  // namespace nimbus::cli
